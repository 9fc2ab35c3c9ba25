// Package renewalinfo evaluates the renewal information of a CA (ARI, RFC 9773): the
// instant chosen within the suggested window, and the time of the next request. The package
// sends nothing and reads no clock.
package renewalinfo
