package probe

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"slices"
)

// A TLSA is one record of DANE (RFC 6698) as it is used for SMTP (RFC 7672).
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
	Names                     []string // usage 2: the certificate is for one of these
}

// Unusable says why peers can do nothing with the record, "" if they can.
func (t TLSA) Unusable() string {
	length := map[uint8]int{1: sha256.Size, 2: sha512.Size}[t.Matching]
	switch {
	case t.Usage < 2:
		return "usage 0 and 1 are not for SMTP (RFC 7672, 3.1.3)"
	case t.Usage > 3 || t.Selector > 1 || t.Matching > 2:
		return "unknown usage, selector or matching type"
	case len(t.Data) == 0 || length != 0 && len(t.Data) != length:
		return "the data do not have the length of the hash"
	}
	return ""
}

// Matches reports whether the record is about a certificate.
func (t TLSA) Matches(c *x509.Certificate) bool {
	what := c.Raw
	if t.Selector == 1 {
		what = c.RawSubjectPublicKeyInfo
	}
	switch t.Matching {
	case 1:
		sum := sha256.Sum256(what)
		what = sum[:]
	case 2:
		sum := sha512.Sum512(what)
		what = sum[:]
	}
	return bytes.Equal(what, t.Data)
}

// checkDANE judges by the TLSA records, if there are any that can be used. One
// that is satisfied is enough; usage 3 asks neither for names nor for dates
// (RFC 7672, section 3.1.1).
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

// anchored reports whether a record of usage 2 is about a CA in the chain, or is
// that CA, and what is wrong with the rest.
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
