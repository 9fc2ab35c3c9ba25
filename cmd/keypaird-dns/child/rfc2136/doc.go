// Package rfc2136 is a DNS provider for lego that uses dynamic updates (RFC 2136),
// signed with TSIG (RFC 8945) or not. Unlike lego's own it adds its value to those at
// a name and removes no other. It reads lego's variables, RFC2136_ or DNSUPDATE_.
//
// The package removes no value but the one it is asked to, and does not wait until all
// servers of the zone know one.
package rfc2136
