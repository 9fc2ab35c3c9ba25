package probe

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"keypaird/renew/textfmt"
)

// maxPath bounds how many certificates of a chain are followed.
const maxPath = 10

// trust checks that a chain, without further intermediates, leads to one of roots.
// It verifies at a time within the leaf's lifetime: dates checks that one.
func trust(chain []*x509.Certificate, e Expect, roots *x509.CertPool) []Issue {
	leaf, at := chain[0], clamp(e.Now, chain[0].NotBefore, chain[0].NotAfter)
	path := follow(chain)
	verify := func(known []*x509.Certificate, how x509.ExtKeyUsage) error {
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{how}}
		for _, c := range known {
			o.Intermediates.AddCert(c)
		}
		_, err := leaf.Verify(o)
		return err
	}
	err := verify(chain[1:], x509.ExtKeyUsageAny)
	if err == nil {
		if serves(leaf, x509.ExtKeyUsageServerAuth) && verify(chain[1:], x509.ExtKeyUsageServerAuth) != nil {
			return []Issue{{WrongUsage, "is signed by a CA that may not sign for servers"}}
		}
		return order(chain, path)
	}
	for _, c := range path[1:] {
		if at.After(c.NotAfter) {
			return []Issue{{Expired, fmt.Sprintf("is signed by %s, which ended on %s", subject(c), day(c.NotAfter))}}
		}
	}
	top := path[len(path)-1]
	if longer := follow(append(slices.Clone(path), e.Known...)); len(longer) > len(path) &&
		(!selfSigned(longer[len(path)]) || verify(e.Known, x509.ExtKeyUsageAny) == nil) {
		return []Issue{{Incomplete, fmt.Sprintf("is sent without its intermediate %s", subject(longer[len(path)]))}}
	}
	switch {
	case selfSigned(leaf):
		return []Issue{{Untrusted, "is signed by itself"}}
	case selfSigned(top):
		return []Issue{{Untrusted, fmt.Sprintf("leads to %s, which is no root of this machine", subject(top))}}
	case len(path) == 1:
		return []Issue{{Incomplete, fmt.Sprintf("is signed by %s, which is neither sent nor a root of this machine", Issuer(leaf))}}
	case !rootless(err):
		return []Issue{{Untrusted, "does not verify: " + textfmt.OneLine(err.Error(), 200)}}
	}
	return []Issue{{Untrusted, fmt.Sprintf("leads to %s, signed by %s, which is neither sent nor a root of this machine", subject(top), Issuer(top))}}
}

// rootless reports whether a verification failed because a root is missing.
func rootless(err error) bool {
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

// follow returns the path from the leaf upwards, as far as the chain contains it.
func follow(chain []*x509.Certificate) []*x509.Certificate {
	path := chain[:1:1]
	for len(path) < maxPath {
		top := path[len(path)-1]
		if selfSigned(top) {
			break
		}
		i := slices.IndexFunc(chain[1:], func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, top.RawIssuer) && !slices.ContainsFunc(path, c.Equal) && top.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		path = append(path, chain[1+i])
	}
	return path
}

// order checks the order of a complete chain: each certificate must sign the one
// before (RFC 5246, section 7.4.2), and some programs insist on it.
func order(chain, path []*x509.Certificate) []Issue {
	for i := range chain {
		switch {
		case i > 0 && chain[i].Equal(chain[0]):
			return []Issue{{Disorder, "is sent twice"}}
		case i >= len(path):
			return []Issue{{Disorder, fmt.Sprintf("is sent with %s, which has nothing to do with it", subject(chain[i]))}}
		case !chain[i].Equal(path[i]):
			return []Issue{{Disorder, "is sent with its intermediates in the wrong order"}}
		}
	}
	return nil
}

// selfSigned reports whether a certificate is its own issuer.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func clamp(t, low, high time.Time) time.Time {
	if t.Before(low) {
		return low
	}
	if t.After(high) {
		return high
	}
	return t
}
