// Package records queries DNS for the hosts and services of a domain, and parses
// the names in the records.
//
// A [Resolver] sends each query once and caches the [Reply]. NXDOMAIN, no such
// record, the target "." and a resolver that fails are different states; nothing
// follows from a reply that is [Undetermined]. The number of queries, aliases,
// records and addresses is bounded.
package records
