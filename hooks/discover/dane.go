package discover

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"keypaird/hooks/probe"
)

// A TLSA is one record of DANE (RFC 6698). Peers accept a certificate that
// matches any usable one.
type TLSA struct {
	Name     string   `json:"name"` // where it is published
	Usage    uint8    `json:"usage"`
	Selector uint8    `json:"selector"`
	Matching uint8    `json:"matching"`
	Data     string   `json:"data"`             // hexadecimal
	Accept   []string `json:"accept,omitempty"` // usage 2: the certificate is for any of these; usage 3: names and dates do not matter
	Why      string   `json:"why,omitempty"`    // peers cannot use it
}

// String writes the record as a zone file has it.
func (t TLSA) String() string {
	return fmt.Sprintf("%d %d %d %s", t.Usage, t.Selector, t.Matching, t.Data)
}

// dane adds the row of a mail host that has TLSA records. Senders look for them
// only where DNSSEC vouches for the addresses (RFC 7672, section 2.2.2); where
// it does not vouch for the MX records, some do (section 2.2.1).
func addDANE(ctx context.Context, l *lookup, s *section, row Requirement, host string, at site, mx mxSet) {
	if at.state != Found {
		return
	}
	given := l.isGiven(host)
	base, rep := findTLSA(ctx, l, host, at)
	secured := at.secure || given
	row.Role, row.SNI, row.Accept, row.Enforcement = "mx DANE", base, nil, Should
	if mx.secure {
		row.Enforcement = Must
	}
	row.Evidence = append(slices.Clone(row.Evidence), rep.evidence("RFC 7672, 2.2.3"))
	switch {
	case rep.state == Absent, rep.state == Undetermined && !secured:
		return
	case rep.state == Undetermined:
		s.fail("repair the DNSSEC of that zone", "TLSA %s: %s: senders that do DANE hold mail back", rep.name, rep.why)
		s.none(row, Undetermined, "TLSA "+rep.name+": "+rep.why)
		return
	case !rep.secure || !secured:
		s.warn("sign the zones of the mail host, or ask a resolver that validates",
			"TLSA %s is published, but the resolver does not vouch for it and the host's addresses by DNSSEC: senders ignore it", rep.name)
		return
	}
	usable := false
	names := []string{base} // RFC 7672, section 3.2.2
	if mx.secure {
		names = append(names, mx.name, mx.owner())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	strict := true
	for _, rr := range rep.rrs {
		t := tlsaOf(rr.(*dns.TLSA))
		if t.Usage == 2 {
			t.Accept = names
		}
		usable = usable || t.Why == ""
		strict = strict && (t.Why != "" || t.Usage == 2)
		row.TLSA = append(row.TLSA, t)
	}
	slices.SortFunc(row.TLSA, func(a, b TLSA) int { return strings.Compare(a.String(), b.String()) })
	switch {
	case !usable:
		row.Enforcement = Info
		s.warn("publish 3 1 1 records", "TLSA %s: no record can be used: senders encrypt, but check nothing", rep.name)
	case strict:
		row.Accept = names
	}
	addLocated(ctx, l, s, row, "smtp", host, smtpPort)
}

// tlsa looks for the records of a mail host: at its real name first if it is an
// alias (RFC 7672, section 2.2.3).
func findTLSA(ctx context.Context, l *lookup, host string, at site) (base string, rep reply) {
	if at.alias != "" && at.secure {
		if rep := l.resolve(ctx, "_25._tcp."+at.alias, dns.TypeTLSA); rep.state != Absent {
			return at.alias, rep
		}
	}
	return host, l.resolve(ctx, "_25._tcp."+host, dns.TypeTLSA)
}

// tlsaOf reads a record and says whether senders can use it.
func tlsaOf(rr *dns.TLSA) TLSA {
	t := TLSA{
		Name: canonical(rr.Hdr.Name), Usage: rr.Usage, Selector: rr.Selector,
		Matching: rr.MatchingType, Data: strings.ToLower(rr.Certificate),
	}
	raw, err := hex.DecodeString(t.Data)
	if err != nil {
		raw = nil
	}
	t.Why = probe.TLSA{Usage: t.Usage, Selector: t.Selector, Matching: t.Matching, Data: raw}.Unusable()
	return t
}
