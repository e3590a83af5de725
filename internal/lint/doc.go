// Package lint holds the rules of this code base that no general tool knows,
// as tests: which package may import which ([layers] in layers_test.go), what
// is used nowhere or only where it is listed, that what is exported is
// documented, and that the documents agree with the code. It exports nothing.
package lint
