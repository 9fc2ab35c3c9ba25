package discover

import (
	"context"

	"github.com/miekg/dns"
)

// accessServices are the ways to a mailbox (RFC 6186, RFC 8314 for
// submissions, RFC 5804 for sieve), TLS from the first byte before STARTTLS.
var accessServices = []struct{ service, role, proto, spec string }{
	{"_submissions", "submission", "tls", "RFC 8314, 5.1"},
	{"_submission", "submission STARTTLS", "smtp", "RFC 6186, 3.1"},
	{"_imaps", "imap", "tls", "RFC 6186, 3.2"},
	{"_imap", "imap STARTTLS", "imap", "RFC 6186, 3.2"},
	{"_pop3s", "pop3", "tls", "RFC 6186, 3.3"},
	{"_pop3", "pop3 STARTTLS", "pop3", "RFC 6186, 3.3"},
	{"_sieve", "sieve", "sieve", "RFC 5804, 1.8"},
}

// mailAccess finds where mail programs connect. Most check the host they
// connect to; those that keep to RFC 6186 and found it by insecure DNS check
// the mail domain. Without records there is no rule: programs ask their user.
func findMailAccess(ctx context.Context, l *lookup, s *section) {
	var names []string
	for _, a := range accessServices {
		names = append(names, a.service+"._tcp."+l.name.Host)
	}
	l.ahead(ctx, dns.TypeSRV, names...)
	for _, a := range accessServices {
		set := l.srv(ctx, a.service+"._tcp."+l.name.Host)
		row := Requirement{Role: a.role, CheckedBy: "mail programs", Enforcement: Must}
		addByHostOrDomain(ctx, l, s, row, a.proto, set, l.name.Host, a.spec)
	}
}

// byHostOrDomain adds two rows for each target: peers that check the host they
// connect to, and those that check the domain they asked about.
func addByHostOrDomain(ctx context.Context, l *lookup, s *section, row Requirement, proto string, set srvSet, domain, spec string) {
	row.Evidence = []Evidence{set.evidence(spec)}
	reportSet(s, set)
	if set.state != Found {
		s.none(row, set.state, set.whyNot())
		return
	}
	l.prefetch(ctx, set)
	for _, t := range set.targets {
		host := row
		host.SNI, host.Accept = t.host, []string{t.host}
		if proto == "https" {
			host.HostHeader = hostPort(t.host, t.port)
		}
		at := addLocated(ctx, l, s, host, proto, t.host, t.port)
		reportTarget(s, "SRV "+set.name, t.host, at, "RFC 2782")
		if t.host == domain {
			continue
		}
		plain := row
		plain.SNI, plain.Accept, plain.Enforcement = domain, []string{domain}, Should
		plain.HostHeader, plain.When = host.HostHeader, "a program checks the domain it was given, not the host it was sent to"
		if set.secure {
			plain.AlsoSome = []string{t.host}
		}
		addLocated(ctx, l, s, plain, proto, t.host, t.port)
	}
}

// autoconfig finds the hosts that mail programs ask for settings.
func findAutoconfig(ctx context.Context, l *lookup, s *section) {
	for _, sub := range []string{"autoconfig", "autodiscover"} {
		host := sub + "." + l.name.Host
		row := Requirement{
			Role: sub, CheckedBy: "mail programs", Enforcement: Should,
			SNI: host, Accept: []string{host}, HostHeader: host,
		}
		at := l.addresses(ctx, host)
		if at.state == Found {
			addLocated(ctx, l, s, row, "https", host, 443)
		} else {
			s.none(row, at.state, at.why, at.evidence...)
		}
	}
	set := l.srv(ctx, "_autodiscover._tcp."+l.name.Host)
	row := Requirement{Role: "autodiscover by SRV", CheckedBy: "mail programs", Enforcement: Should, Evidence: []Evidence{set.evidence("MS-OXDISCO")}}
	reportSet(s, set)
	if set.state != Found {
		s.none(row, set.state, set.whyNot())
		return
	}
	for _, t := range set.targets {
		one := row
		one.SNI, one.Accept, one.HostHeader = t.host, []string{t.host}, hostPort(t.host, t.port)
		at := addLocated(ctx, l, s, one, "https", t.host, t.port)
		reportTarget(s, "SRV "+set.name, t.host, at, "RFC 2782")
	}
}
