package discover

import (
	"context"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
)

// accessServices are the services for mail programs (RFC 6186, RFC 8314 for
// submissions, RFC 5804 for sieve), implicit TLS before STARTTLS.
var accessServices = []struct{ service, role, proto, spec string }{
	{"_submissions", "submission", "tls", "RFC 8314, 5.1"},
	{"_submission", "submission STARTTLS", "smtp", "RFC 6186, 3.1"},
	{"_imaps", "imap", "tls", "RFC 6186, 3.2"},
	{"_imap", "imap STARTTLS", "imap", "RFC 6186, 3.2"},
	{"_pop3s", "pop3", "tls", "RFC 6186, 3.3"},
	{"_pop3", "pop3 STARTTLS", "pop3", "RFC 6186, 3.3"},
	{"_sieve", "sieve", "sieve", "RFC 5804, 1.8"},
}

// findMailAccess finds the endpoints for mail programs. Most expect the host they
// connect to; those that follow RFC 6186 and found it without DNSSEC expect the mail
// domain. Without records, programs ask their user.
func findMailAccess(ctx context.Context, l *lookup, s *section) {
	var names []string
	for _, a := range accessServices {
		names = append(names, a.service+"._tcp."+l.name.Host)
	}
	l.Prefetch(ctx, dns.TypeSRV, names...)
	for _, a := range accessServices {
		set := l.SRV(ctx, a.service+"._tcp."+l.name.Host)
		row := Requirement{Role: a.role, CheckedBy: "mail programs", Enforcement: Must}
		addByHostOrDomain(ctx, l, s, row, a.proto, set, l.name.Host, a.spec)
	}
}

// addByHostOrDomain adds two rows for each target: for peers that expect the host they
// connect to, and for those that expect the domain.
func addByHostOrDomain(ctx context.Context, l *lookup, s *section, row Requirement, proto string, set records.SRVSet, domain, spec string) {
	row.Evidence = []records.Evidence{set.Evidence(spec)}
	reportSet(s, set)
	if set.State != records.Found {
		s.noneBySRV(row, set)
		return
	}
	l.PrefetchTargets(ctx, set)
	for _, t := range set.Targets {
		host := row
		host.SNI, host.Accept = t.Host, []string{t.Host}
		if proto == "https" {
			host.HostHeader = records.HostPort(t.Host, t.Port)
		}
		at := addLocated(ctx, l, s, host, proto, t.Host, t.Port)
		reportTarget(s, "SRV "+set.Name, t.Host, at, "RFC 2782")
		if t.Host == domain {
			continue
		}
		plain := row
		plain.SNI, plain.Accept, plain.Enforcement = domain, []string{domain}, Should
		plain.HostHeader, plain.When = host.HostHeader, "a program checks the domain, not the host it connects to"
		if set.Secure {
			plain.AlsoSome = []string{t.Host}
		}
		addLocated(ctx, l, s, plain, proto, t.Host, t.Port)
	}
}

// findAutoconfig finds the hosts that serve settings for mail programs.
func findAutoconfig(ctx context.Context, l *lookup, s *section) {
	for _, sub := range []string{"autoconfig", "autodiscover"} {
		host := sub + "." + l.name.Host
		row := Requirement{
			Role: sub, CheckedBy: "mail programs", Enforcement: Should,
			SNI: host, Accept: []string{host}, HostHeader: host,
		}
		at := l.HostPublished(ctx, host)
		if at.State == records.Found {
			addLocated(ctx, l, s, row, "https", host, 443)
		} else {
			s.noneAt(row, at)
		}
	}
	set := l.SRV(ctx, "_autodiscover._tcp."+l.name.Host)
	row := Requirement{Role: "autodiscover by SRV", CheckedBy: "mail programs", Enforcement: Should, Evidence: []records.Evidence{set.Evidence("MS-OXDISCO")}}
	reportSet(s, set)
	if set.State != records.Found {
		s.noneBySRV(row, set)
		return
	}
	for _, t := range set.Targets {
		one := row
		one.SNI, one.Accept, one.HostHeader = t.Host, []string{t.Host}, records.HostPort(t.Host, t.Port)
		at := addLocated(ctx, l, s, one, "https", t.Host, t.Port)
		reportTarget(s, "SRV "+set.Name, t.Host, at, "RFC 2782")
	}
}
