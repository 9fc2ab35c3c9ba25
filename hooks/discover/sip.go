package discover

import (
	"context"
	"strings"

	"github.com/miekg/dns"
)

const sipsPort = 5061

// sip finds where SIP over TLS connects (RFC 3263, section 4). The certificate
// is for the domain of the SIP URI, and no wildcard (RFC 5922, 7.1 and 7.2).
func findSIP(ctx context.Context, l *lookup, s *section) {
	row := Requirement{
		Role: "sips", CheckedBy: "SIP servers and phones", Enforcement: Must,
		SNI: l.name.Host, Accept: []string{l.name.Host}, NoWildcard: true,
	}
	naptr := l.resolve(ctx, l.name.Host, dns.TypeNAPTR)
	row.Evidence = []Evidence{naptr.evidence("RFC 3263, 4.1")}
	if naptr.state == Undetermined {
		s.warn("ask again, or ask another resolver", "NAPTR %s: %s", l.name.Host, naptr.why)
		s.none(row, Undetermined, "NAPTR "+l.name.Host+": "+naptr.why)
		return
	}
	services := sipServices(naptr)
	if len(services) == 0 {
		if naptr.state == Found && namesSIP(naptr) {
			s.none(row, Absent, "NAPTR "+l.name.Host+" names no service over TLS")
			return
		}
		services = []string{"_sips._tcp." + l.name.Host}
	}
	for _, service := range services {
		set := l.srv(ctx, service)
		if set.stop() {
			addTargets(ctx, l, s, row, "tls", set, "RFC 3263, 4.1 and 4.2")
			continue
		}
		one := row
		one.Default = true
		one.Evidence = append(one.Evidence, set.evidence("RFC 3263, 4.1"),
			Evidence{What: "default of " + l.name.Host, Says: "port 5061", Spec: "RFC 3263, 4.2"})
		addLocated(ctx, l, s, one, "tls", l.name.Host, sipsPort)
	}
}

// sipServices are the SRV names that NAPTR records give for TLS.
func sipServices(rep reply) (list []string) {
	for _, rr := range rep.rrs {
		n, ok := rr.(*dns.NAPTR)
		if ok && strings.EqualFold(n.Service, "SIPS+D2T") && strings.EqualFold(n.Flags, "s") && canonical(n.Replacement) != "" {
			list = append(list, canonical(n.Replacement))
		}
	}
	return list
}

// namesSIP tells whether NAPTR records are about SIP at all.
func namesSIP(rep reply) bool {
	for _, rr := range rep.rrs {
		if n, ok := rr.(*dns.NAPTR); ok && strings.HasPrefix(strings.ToUpper(n.Service), "SIP") {
			return true
		}
	}
	return false
}
