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
// What is synced for one certificate, and what a power failure takes without it:
//
//	certs                          the directory of a new NAME, for all that are new at once
//	order.json, pending/CA, pending, NAME
//	                               a finalized order with its key: the certificate could not be used
//	.tmp-v000001 and its five files
//	                               content of a version: servers read all five where they are
//	NAME                           the version's name, before the order is forgotten
//	NAME                           the live link, before servers load what it names
//	record.json, twice             the record before, as a whole: backoff, TLSA records, notices
//	key, chain, their directory    what a server starts with after the failure
//
// What is removed is not synced: an order that comes back is known by its key, and
// the record's name is not, since the one before does as well.
//
// [WriteFile] and [ReadFile] do this for a path, a [Dir] for the entries of an
// open directory. [CheckDir] says whether a directory is safe at all. A [Lock] is
// the right to write in a state directory.
//
// The package knows nothing of keys or certificates. Of ours it imports renew/problem
// only.
package durable
