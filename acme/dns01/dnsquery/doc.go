// Package dnsquery asks one DNS server one question:
//
//	in, err := dnsquery.Query{Server: "192.0.2.1:53", Name: "example.org.", Type: dns.TypeTXT, Recurse: true}.Do(ctx)
//	if err == nil {
//		err = dnsquery.Check(in, true)
//	}
//
// [Query.Do] handles transport: UDP with EDNS, UDP without EDNS for servers that
// do not support it, and TCP. It returns any answer to the question, errors such
// as REFUSED included. [Check] reports whether an answer says what exists.
//
// Which server to ask, when to try again and what to do with the records is up to
// the caller.
package dnsquery
