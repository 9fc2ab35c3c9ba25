// Package renewalinfo evaluates what a CA says of the time to renew a certificate
// (ARI, RFC 9773): the instant chosen within the window that it suggests, and the
// time of the next request. The package sends nothing and
// reads no clock.
package renewalinfo
