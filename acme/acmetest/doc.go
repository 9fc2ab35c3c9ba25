// Package acmetest has the servers that keypaird is tested with, on loopback: a CA
// that validates challenges, a DNS server that accepts signed updates, and a TLS server
// that chooses a pair by SNI. Tests, benchmarks and the quick start use it; the programs
// never do.
//
// Start a [DNS] for the zones of the test, then a [CA] that queries it, and give
// the CA's Directory, Roots and HTTPPort to the client under test:
//
//	ns, err := acmetest.StartDNS(acmetest.DNSOptions{Zones: []string{"example.org"}, ...})
//	ca, err := acmetest.StartCA(acmetest.Options{DNS: ns.Addr})
//	defer ca.Close()
//
// The CA is strict: it refuses one good nonce in twenty and validates every challenge.
// Faults (stalls, resets, errors, the latency of a real CA) go in [Options.Wrap], a
// layer in front of the CA. A [Proxy] between client and CA can have the same faults,
// and faults of connections, and can change them while both run.
//
// The package knows nothing of keypaird. Its servers run until they are closed, like a
// [net/http/httptest.Server].
package acmetest
