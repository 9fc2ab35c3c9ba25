// Package acmetest is the world keypaird is tested in, on loopback: a CA that
// validates for real, a DNS server that takes signed updates, and a TLS front
// that chooses a pair by SNI. Tests, benchmarks and the quick start use it; the
// programs never do.
//
// Start a [DNS] for the zones of the test, then a [CA] that asks it, and give
// the CA's Directory, Roots and HTTPPort to the client under test:
//
//	ns, err := acmetest.StartDNS(acmetest.DNSOptions{Zones: []string{"example.org"}, ...})
//	ca, err := acmetest.StartCA(acmetest.Options{DNS: ns.Addr})
//	defer ca.Close()
//
// Nothing is made easy for the client: one good nonce in twenty is refused,
// challenges are looked up and compared, and what is asked of the CA beyond
// that (stalls, resets, refusals, the speed of a real one) goes in
// [Options.Wrap], a layer in front of the CA. A [Proxy] between client and CA
// has such faults, too, and those of connections, and changes them while both
// go on.
//
// The package knows nothing of keypaird. What it starts runs until it is
// closed, like a [net/http/httptest.Server].
package acmetest
