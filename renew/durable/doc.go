// Package durable reads and writes small files that must be whole after a crash,
// and in directories that no other user can change.
//
// A file is replaced so that a reader, and the next run after a kill or a power
// failure, finds the old content or the new:
//
//	openat(".NAME.RANDOM.tmp", O_CREAT|O_EXCL)  fchown  fchmod  write  fsync  close
//	renameat(".NAME.RANDOM.tmp", "NAME")  fsync(directory)
//
// Waiting for the disk is what costs: callers that sync one directory at once
// share a sync ([Dir.Sync]), files that are renamed together share that of their
// directory ([Stage], [SyncDir]), and what may be lost goes without
// ([Dir.ReplaceHint]): after a power failure the old content may be back, whole.
//
// [WriteFile] and [ReadFile] do this for a path, a [Dir] for the entries of an
// open directory. [CheckDir] says whether a directory is safe at all. A [Lock] is
// the right to write in a state directory.
//
// The package knows nothing of keys or certificates. Of ours it imports renew/problem
// only.
package durable
