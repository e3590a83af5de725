// Package file provides devices over regular files and block devices.
//
// On Linux requests go through io_uring: one private ring per channel, mapped,
// with the file and Buffers registered; a batch costs one system call and
// completions cost none. Where io_uring is refused (seccomp filters of
// containers, the io_uring_disabled sysctl, old kernels) and on other systems
// they go through blocking system calls on a bounded set of workers. What the
// page cache or a file system in memory can answer at once is answered inside
// Post, because that is cheaper than either.
//
// Files are opened with O_DIRECT where the file system and the file's size
// allow it, so that a completed transfer is one with the medium.
package file
