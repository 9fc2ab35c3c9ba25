package discover

import (
	"context"
	"strings"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
)

const sipsPort = 5061

// findSIP finds where SIP over TLS connects (RFC 3263, section 4). The certificate
// is for the domain of the SIP URI, and no wildcard (RFC 5922, 7.1 and 7.2).
func findSIP(ctx context.Context, l *lookup, s *section) {
	row := Requirement{
		Role: "sips", CheckedBy: "SIP servers and phones", Enforcement: Must,
		SNI: l.name.Host, Accept: []string{l.name.Host}, NoWildcard: true,
	}
	naptr := l.Query(ctx, l.name.Host, dns.TypeNAPTR)
	row.Evidence = []records.Evidence{naptr.Evidence("RFC 3263, 4.1")}
	if naptr.State == records.Undetermined {
		row.Reason = naptr.Why
		s.unanswered("NAPTR " + l.name.Host + ": " + naptr.Why)
		s.none(row, records.Undetermined, "NAPTR "+l.name.Host+": "+naptr.Why)
		return
	}
	services := sipServices(naptr)
	if len(services) == 0 {
		if naptr.State == records.Found && namesSIP(naptr) {
			s.none(row, records.Absent, "NAPTR "+l.name.Host+" names no service over TLS")
			return
		}
		services = []string{"_sips._tcp." + l.name.Host}
	}
	for _, service := range services {
		set := l.SRV(ctx, service)
		if set.Decisive() {
			addTargets(ctx, l, s, row, "tls", set, "RFC 3263, 4.1 and 4.2")
			continue
		}
		one := row
		one.Default = true
		one.Evidence = append(one.Evidence, set.Evidence("RFC 3263, 4.1"),
			records.Evidence{Kind: records.KindDefault, What: "default of " + l.name.Host, Says: "port 5061", Spec: "RFC 3263, 4.2"})
		addLocated(ctx, l, s, one, "tls", l.name.Host, sipsPort)
	}
}

// sipServices are the SRV names that NAPTR records give for TLS.
func sipServices(rep records.Reply) (list []string) {
	for _, rr := range rep.RRs {
		n, ok := rr.(*dns.NAPTR)
		if ok && strings.EqualFold(n.Service, "SIPS+D2T") && strings.EqualFold(n.Flags, "s") && records.Canonical(n.Replacement) != "" {
			list = append(list, records.Canonical(n.Replacement))
		}
	}
	return list
}

// namesSIP tells whether NAPTR records are about SIP at all.
func namesSIP(rep records.Reply) bool {
	for _, rr := range rep.RRs {
		if n, ok := rr.(*dns.NAPTR); ok && strings.HasPrefix(strings.ToUpper(n.Service), "SIP") {
			return true
		}
	}
	return false
}
