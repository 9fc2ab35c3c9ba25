package probe

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"slices"
)

// A TLSA is one TLSA record (RFC 6698), used as for SMTP (RFC 7672).
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
	Names                     []string // usage 2: the certificate is for one of these
}

// Unusable returns why peers cannot use the record, or "".
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

// Matches reports whether the record matches a certificate.
func (t TLSA) Matches(c *x509.Certificate) bool {
	data := c.Raw
	if t.Selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch t.Matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, t.Data)
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
