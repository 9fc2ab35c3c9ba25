// Package records queries DNS for the hosts and services of a domain, and reads
// the names in what it finds.
//
// A [Resolver] asks each question once and keeps the [Reply]. A reply that is
// [Undetermined] says nothing: NXDOMAIN, no such record, the target "." and a
// resolver that fails are different answers. The number of questions, of
// aliases, of records and of addresses is bounded.
package records
