// Package syscalls filters the system calls of a process, on Linux, by seccomp(2): all
// that are not known to be needed are refused.
package syscalls
