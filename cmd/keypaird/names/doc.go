// Package names runs keypaird-names, the program that looks at the names of a domain
// from outside, for the commands discover, verify and check.
//
// [Flags] defines the flags that discover and verify have. [Prepare] finds out which
// targets and domains a verify is about. [Ask] sends a request to keypaird-names and
// returns its answer: certificates, names and endpoints go there, and no key, path or
// secret.
package names
