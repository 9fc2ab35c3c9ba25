// Package tlsalpn01 answers tls-alpn-01 challenges (RFC 8737, and RFC 8738 for
// addresses) from a directory of key authorizations. A file there is named by the
// server name that the CA asks for. Any process may add one; the process that holds the
// port serves them all.
//
// A [Solver] is an acme.Solver. It answers handshakes with ALPN "acme-tls/1" for a
// name with a challenge, and refuses all others.
package tlsalpn01
