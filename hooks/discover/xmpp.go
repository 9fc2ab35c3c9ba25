package discover

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
)

// A side is one of the two kinds of peers of an XMPP server.
type side struct {
	name string // of the SRV service, of probe's protocol and of ALPN
	role string
	who  string
	port uint16 // by default
}

var xmppSides = []side{
	{"xmpp-client", "c2s", "XMPP clients", 5222},
	{"xmpp-server", "s2s", "XMPP servers", 5269},
}

// direct is the SRV name of XEP-0368, plain that of RFC 6120.
func (at side) direct(domain string) string {
	return "_xmpps" + strings.TrimPrefix(at.name, "xmpp") + "._tcp." + domain
}
func (at side) plain(domain string) string { return "_" + at.name + "._tcp." + domain }

// findXMPP finds where clients and other servers connect. Components are domains
// of their own for other servers; clients do not connect to them.
func findXMPP(ctx context.Context, l *lookup, s *section) {
	var names []string
	for _, at := range xmppSides {
		names = append(names, at.direct(l.name.Host), at.plain(l.name.Host))
	}
	for _, c := range l.components {
		names = append(names, xmppSides[1].direct(c), xmppSides[1].plain(c))
	}
	l.Prefetch(ctx, dns.TypeSRV, names...)
	for _, at := range xmppSides {
		addXMPPDomain(ctx, l, s, at, l.name.Host)
	}
	for _, c := range l.components {
		addXMPPDomain(ctx, l, s, xmppSides[1], c)
	}
}

// addXMPPDomain finds the endpoints of a domain. The name is the domain's
// whatever the records say (RFC 6120, section 13.7.2.1, and XEP-0368 for
// direct TLS): SRV targets do only for peers that trust DNSSEC (RFC 7673).
func addXMPPDomain(ctx context.Context, l *lookup, s *section, at side, domain string) {
	row := Requirement{
		Role: at.role, Identity: domain, SNI: domain, Accept: []string{domain},
		CheckedBy: at.who, Enforcement: Must, ClientAuth: at.name == "xmpp-server",
	}
	direct, plain := l.SRV(ctx, at.direct(domain)), l.SRV(ctx, at.plain(domain))
	l.PrefetchTargets(ctx, direct, plain)
	overTLS := row
	overTLS.Role, overTLS.ALPN = at.role+" direct TLS", []string{at.name}
	addXMPPTargets(ctx, l, s, overTLS, "tls", direct, "XEP-0368")
	if plain.Decisive() {
		addXMPPTargets(ctx, l, s, row, at.name, plain, "RFC 6120, 3.2.1")
		return
	}
	row.Evidence = []records.Evidence{direct.Evidence("XEP-0368"), plain.Evidence("RFC 6120, 3.2.1")}
	const fallback = "RFC 6120, 3.2.2"
	switch direct.State {
	case records.Absent:
	case records.Found:
		// Peers that do not know XEP-0368 see no records at all.
		row.Enforcement, row.When = Info, "a peer does not know XEP-0368"
	case records.Disabled:
		s.none(row, records.Absent, plain.Reason()+`, and the target "." of `+direct.Name+" forbids the default port")
		return
	default:
		s.noneBySRV(row, direct)
		return
	}
	row.Default = true
	row.Evidence = append(row.Evidence, records.Evidence{Kind: records.KindDefault, What: "default of " + domain, Says: fmt.Sprintf("port %d", at.port), Spec: fallback})
	addLocated(ctx, l, s, row, at.name, domain, at.port)
}

// addXMPPTargets adds the rows of an SRV set that is not absent.
func addXMPPTargets(ctx context.Context, l *lookup, s *section, row Requirement, proto string, set records.SRVSet, spec string) {
	if set.State == records.Absent {
		return // most domains have one of the two
	}
	if set.Secure {
		for _, t := range set.Targets {
			one := set
			one.Targets = []records.Target{t}
			secured := row
			if t.Host != row.SNI {
				secured.AlsoSome = []string{t.Host}
			}
			addTargets(ctx, l, s, secured, proto, one, spec)
		}
		if len(set.Targets) > 0 {
			return
		}
	}
	addTargets(ctx, l, s, row, proto, set, spec)
}
