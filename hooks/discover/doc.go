// Package discover finds the endpoints where peers look for the services of a
// domain, and the names that they expect on the certificates there.
//
// A [Discoverer] queries DNS and fetches the public documents that lead peers to
// the endpoints, with the rules that peers follow: [Discoverer.Discover] returns
// an [Answer] of [Requirement] rows, each with the evidence for it. Package
// hooks/probe checks what the endpoints serve.
//
// The package connects to hosts that the domain's records, documents and redirects
// name, private addresses included. It sends only GET requests over TLS, without
// credentials, cookies, client certificates or proxies, and returns only parsed
// content. A service that discovers domains for other people should run it where
// it cannot reach private hosts. Time and memory are bounded whatever servers
// send.
//
// NXDOMAIN, no such record, the target "." and a resolver that fails are different
// states. Nothing follows from a failure: the state is then undetermined.
package discover
