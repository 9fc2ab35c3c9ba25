package probe

import (
	"crypto/x509"
	"fmt"
	"slices"

	"keypaird/renew/tlsa"
)

// A TLSA is one TLSA record, used as for SMTP (RFC 7672).
type TLSA struct {
	tlsa.RR
	Names []string // usage 2: the certificate is for one of these
}

// checkDANE checks a chain against the TLSA records, if any is usable; strict: one
// is. One match is enough; usage 3 ignores names and dates (RFC 7672, section
// 3.1.1).
func checkDANE(chain []*x509.Certificate, e Expect) (found []Issue, strict bool) {
	for _, t := range e.TLSA {
		if t.Unusable() != "" {
			continue
		}
		strict = true
		if t.Usage == 3 && t.Matches(chain[0]) {
			return nil, true
		}
		if t.Usage == 2 {
			anchored, why := t.anchored(chain, e)
			if anchored && !slices.ContainsFunc(why, Issue.fatal) {
				return why, true
			}
			found = append(found, why...)
		}
	}
	if strict && len(found) == 0 {
		found = []Issue{{NoTLSA, fmt.Sprintf("matches none of the %d TLSA records", len(e.TLSA))}}
	}
	return found, strict
}

// anchored reports whether a record of usage 2 matches a CA in the chain, or is
// that CA, and lists the issues of the certificates below it.
func (t TLSA) anchored(chain []*x509.Certificate, e Expect) (bool, []Issue) {
	roots, known := x509.NewCertPool(), false
	for _, c := range chain {
		if t.Matches(c) {
			roots.AddCert(c)
			known = true
		}
	}
	if t.Selector == 0 && t.Matching == 0 { // the whole certificate need not be sent
		if c, err := x509.ParseCertificate(t.Data); err == nil {
			roots.AddCert(c)
			known = true
		}
	}
	if !known {
		return false, nil
	}
	found := append(names(chain[0], t.Names, false), dates(chain[0], e.Now)...)
	for _, f := range trust(chain, e, roots) {
		if f.fatal() {
			found = append(found, f)
		}
	}
	return true, found
}
