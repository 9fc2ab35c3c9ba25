// Package discover finds out who looks where for the services of a domain, and
// which name each of them expects there on the certificate.
//
// A [Discoverer] asks DNS and fetches the few public documents that lead peers
// on, exactly as the peers do: [Discoverer.Discover] returns an [Answer] of
// [Requirement] rows, each with the evidence that led to it. [Discoverer.Plan]
// says what would change if a Matrix domain moved from SRV records to a
// well-known document, or back. What a row's endpoint really serves is the
// business of hooks/probe.
//
// The package goes where the domain asked about sends it, also to private
// addresses: records, documents and redirects decide which hosts are visited.
// It sends nothing but GET requests over TLS (and the start of a handshake),
// without credentials, cookies or client certificates, through no proxy, and
// shows what comes back in parsed form only. A service that discovers domains
// on behalf of strangers should run it where nothing private can be reached.
// Time and memory are bounded whatever the other side does.
//
// Nothing is concluded from silence: NXDOMAIN, no such record, the target "."
// and a resolver that fails are different answers, and the last one is said to
// be undetermined.
package discover
