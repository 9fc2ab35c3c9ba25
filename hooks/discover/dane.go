package discover

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
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

// addDANE adds the row of a mail host that has TLSA records. Senders look for them
// only where DNSSEC vouches for the addresses (RFC 7672, section 2.2.2); where
// it does not vouch for the MX records, some do (section 2.2.1).
func addDANE(ctx context.Context, l *lookup, s *section, row Requirement, host string, at records.Site, mx mxSet) {
	if at.State != records.Found {
		return
	}
	given := l.Given(host)
	base, rep := findTLSA(ctx, l, host, at)
	secured := at.Secure || given
	row.Role, row.SNI, row.Accept, row.Enforcement = "mx DANE", base, nil, Should
	if mx.Secure {
		row.Enforcement = Must
	}
	row.Evidence = append(slices.Clone(row.Evidence), rep.Evidence("RFC 7672, 2.2.3"))
	switch {
	case rep.State == records.Absent, rep.State == records.Undetermined && !secured:
		return
	case rep.State == records.Undetermined:
		s.fail("repair the DNSSEC of that zone", "TLSA %s: %s: senders that do DANE hold mail back", rep.Name, rep.Why)
		row.Reason = rep.Why
		s.none(row, records.Undetermined, "TLSA "+rep.Name+": "+rep.Why)
		return
	case !rep.Secure || !secured:
		s.warn("sign the zones of the mail host, or ask a resolver that validates",
			"TLSA %s is published, but the resolver does not vouch for it and the host's addresses by DNSSEC: senders ignore it", rep.Name)
		return
	}
	usable := false
	names := []string{base} // RFC 7672, section 3.2.2
	if mx.Secure {
		names = append(names, mx.Name, mx.Owner())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	strict := true
	for _, rr := range rep.RRs {
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
		s.warn("publish 3 1 1 records", "TLSA %s: no record can be used: senders encrypt, but check nothing", rep.Name)
	case strict:
		row.Accept = names
	}
	addLocated(ctx, l, s, row, "smtp", host, smtpPort)
}

// findTLSA looks for the records of a mail host: at its real name first if it is an
// alias (RFC 7672, section 2.2.3).
func findTLSA(ctx context.Context, l *lookup, host string, at records.Site) (base string, rep records.Reply) {
	if at.Alias != "" && at.Secure {
		if rep := l.Query(ctx, "_25._tcp."+at.Alias, dns.TypeTLSA); rep.State != records.Absent {
			return at.Alias, rep
		}
	}
	return host, l.Query(ctx, "_25._tcp."+host, dns.TypeTLSA)
}

// tlsaOf reads a record and says whether senders can use it.
func tlsaOf(rr *dns.TLSA) TLSA {
	t := TLSA{
		Name: records.Canonical(rr.Hdr.Name), Usage: rr.Usage, Selector: rr.Selector,
		Matching: rr.MatchingType, Data: strings.ToLower(rr.Certificate),
	}
	raw, err := hex.DecodeString(t.Data)
	if err != nil {
		raw = nil
	}
	t.Why = probe.TLSA{Usage: t.Usage, Selector: t.Selector, Matching: t.Matching, Data: raw}.Unusable()
	return t
}
