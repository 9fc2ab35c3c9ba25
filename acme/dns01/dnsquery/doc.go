// Package dnsquery asks DNS servers questions:
//
//	q := dnsquery.Query{Name: "example.org.", Type: dns.TypeTXT}
//	in, resolver, err := q.Resolve(ctx, dnsquery.SystemResolvers("/etc/resolv.conf"))
//
// [Query.Resolve] returns the first answer of several resolvers that says which
// records exist. [Query.Do] asks one server and returns any answer to the
// question, errors such as REFUSED included; [Check] reports whether that answer
// says which records exist.
//
// Both use UDP with EDNS, UDP without EDNS for servers that do not support it, and
// TCP for truncated answers and servers that do not answer over UDP.
//
// [Delegation] follows the CNAMEs of a name to where a TXT record has to be
// published. What to do with other records is up to the caller.
package dnsquery
