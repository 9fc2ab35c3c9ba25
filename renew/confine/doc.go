// Package confine takes from the process that holds keys, once it knows its configuration,
// the rights that this does not need: on Linux by Landlock, seccomp and fewer capabilities,
// on OpenBSD by unveil(2) and pledge(2). What it takes never comes back, so a process that
// turns out to lack something is followed by another, see [Rights.Covers].
//
// The children are confined by package launch, before they begin.
package confine
