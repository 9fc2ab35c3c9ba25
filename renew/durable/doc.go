// Package durable reads and writes small files that must be whole after a crash,
// and in directories that no other user can change.
//
// A file is replaced so that a reader, and the next run after a kill or a power
// failure, finds the old content or the new:
//
//	openat(".NAME.RANDOM.tmp", O_CREAT|O_EXCL)  fchown  fchmod  write  fsync  close
//	renameat(".NAME.RANDOM.tmp", "NAME")  fsync(directory)
//
// [WriteFile] and [ReadFile] do this for a path, a [Dir] for the entries of an
// open directory. [CheckDir] says whether a directory is safe at all. A [Lock] is
// the right to write in a state directory.
//
// The package knows nothing of keys or certificates, and imports the standard
// library only.
package durable
