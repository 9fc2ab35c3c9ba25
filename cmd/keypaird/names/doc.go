// Package names connects the commands that look at the names of a domain from
// outside, discover and verify, with the configuration.
//
// [Flags] defines the flags that both have and returns the [discover.Discoverer]
// they describe. [Document] adds the tables of a configuration to what was
// discovered. [Prepare] finds out which targets and domains a verify is about, and
// returns the [verify.Verifier] for them.
package names
