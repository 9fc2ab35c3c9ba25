package discover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
	"keypaird/renew/tlsa"
)

// A TLSA is one DANE record (RFC 6698). Peers accept a certificate that matches any
// usable record.
type TLSA struct {
	Name     string   `json:"name"` // owner of the record
	Usage    uint8    `json:"usage"`
	Selector uint8    `json:"selector"`
	Matching uint8    `json:"matching"`
	Data     string   `json:"data"`             // hexadecimal
	Accept   []string `json:"accept,omitempty"` // usage 2: the certificate must have one of these; usage 3: names and dates do not matter
	Why      string   `json:"why,omitempty"`    // why peers cannot use it
}

// String returns the data of the record as in a zone file.
func (t TLSA) String() string {
	return fmt.Sprintf("%d %d %d %s", t.Usage, t.Selector, t.Matching, t.Data)
}

// addDANE adds the row of a mail host that has TLSA records. Senders use them only if
// the addresses are validated by DNSSEC (RFC 7672, section 2.2.2); if the MX records
// are not, only some senders do (section 2.2.1).
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
		s.fail("repair the DNSSEC of that zone", "TLSA %s: %s: senders that use DANE defer mail", rep.Name, rep.Why)
		row.Reason = rep.Why
		s.none(row, records.Undetermined, "TLSA "+rep.Name+": "+rep.Why)
		return
	case !rep.Secure || !secured:
		s.warn("sign the zones of the mail host, or use a validating resolver",
			"TLSA %s: the resolver did not validate it and the host's addresses by DNSSEC: senders ignore it", rep.Name)
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
		s.warn("publish 3 1 1 records", "TLSA %s: no usable record: senders encrypt without checking the certificate", rep.Name)
	case strict:
		row.Accept = names
	}
	addLocated(ctx, l, s, row, "smtp", host, smtpPort)
}

// findTLSA queries the records of a mail host: first at its canonical name if it is
// an alias (RFC 7672, section 2.2.3).
func findTLSA(ctx context.Context, l *lookup, host string, at records.Site) (base string, rep records.Reply) {
	if at.Alias != "" && at.Secure {
		if rep := l.Query(ctx, "_25._tcp."+at.Alias, dns.TypeTLSA); rep.State != records.Absent {
			return at.Alias, rep
		}
	}
	return host, l.Query(ctx, "_25._tcp."+host, dns.TypeTLSA)
}

// tlsaOf converts a record and finds out whether senders can use it.
func tlsaOf(rr *dns.TLSA) TLSA {
	t := TLSA{
		Name: records.Canonical(rr.Hdr.Name), Usage: rr.Usage, Selector: rr.Selector,
		Matching: rr.MatchingType, Data: strings.ToLower(rr.Certificate),
	}
	t.Why = tlsa.Parse(t.String()).Unusable()
	return t
}
