// Package kernelpeer boots a real Linux kernel with siw, its software iWARP, in qemu's emulation, for tests that talk
// to it over the loopback. README.md describes the scripts behind it, which can be used by hand as well.
//
// All but this comment has the build tag kernel. A [Guest] belongs to the test that started it and ends with it; so does each
// [Script] that runs in it.
package kernelpeer
