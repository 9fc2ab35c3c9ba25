package answer

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxCerts is how many certificates a chain may have: each is verified with each
// other to find its issuer.
const maxCerts = 32

const beginBlock = "-----BEGIN CERTIFICATE-----"

// Chain reads a certificate chain (RFC 8555, section 9.1): the certificates are
// returned in PEM, each once and followed by its issuer, without what is around
// them. One that is cut off is an error.
func Chain(body []byte) ([]byte, error) {
	certs, err := certificates(body)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, c := range sorted(certs) {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.Bytes(), nil
}

// certificates returns the certificates in body, which is PEM or DER.
func certificates(body []byte) ([]*x509.Certificate, error) {
	if der, err := x509.ParseCertificates(body); err == nil && len(der) > 0 && len(der) <= maxCerts {
		return der, nil
	}
	var certs []*x509.Certificate
	began := bytes.Count(body, []byte("-----BEGIN "))
	block, rest := pem.Decode(body)
	for ; block != nil; block, rest = pem.Decode(rest) {
		began--
		if !strings.HasSuffix(block.Type, "CERTIFICATE") {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("a certificate in it cannot be read")
		}
		if len(certs) == maxCerts {
			return nil, fmt.Errorf("it has more than %d certificates", maxCerts)
		}
		if !slices.ContainsFunc(certs, c.Equal) {
			certs = append(certs, c)
		}
	}
	last := bytes.TrimRight(rest[bytes.LastIndexByte(rest, '\n')+1:], " \t\r")
	switch {
	case began > 0, len(last) > 0 && strings.HasPrefix(beginBlock, string(last)):
		return nil, errors.New("it is cut off")
	case len(certs) == 0:
		return nil, errors.New("it has no certificate")
	}
	return certs, nil
}

// sorted returns the chain from the only certificate that is not one of a CA, each
// followed by its issuer, without those that do not belong there; or certs as they
// are if there is no such chain.
func sorted(certs []*x509.Certificate) []*x509.Certificate {
	leaves := slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return c.IsCA })
	if len(leaves) != 1 || !certs[0].IsCA && follow(certs) {
		return certs
	}
	chain := leaves
	for len(chain) < len(certs) {
		last := chain[len(chain)-1]
		i := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
			return !slices.Contains(chain, c) && last.CheckSignatureFrom(c) == nil
		})
		switch {
		case i < 0 && len(chain) == 1:
			return certs // which is refused with what is wrong
		case i < 0:
			return chain
		}
		chain = append(chain, certs[i])
	}
	return chain
}

// follow reports whether each certificate is followed by its issuer.
func follow(certs []*x509.Certificate) bool {
	for i, c := range certs[1:] {
		if certs[i].CheckSignatureFrom(c) != nil {
			return false
		}
	}
	return true
}

// TopIssuer returns the common name of the root that the chain leads to.
func TopIssuer(chain []byte) string {
	certs, err := certificates(chain)
	if err != nil {
		return ""
	}
	return certs[len(certs)-1].Issuer.CommonName
}

var alternateLink = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<([^<>]+)>[^,<]*;\s*rel="?alternate"?`) })

const maxAlternates = 8

// Alternates lists the links to other chains (RFC 8555, section 7.4.2), resolved
// against base.
func Alternates(base string, h http.Header) []string {
	var urls []string
	from, err := url.Parse(base)
	if err != nil {
		return nil
	}
	for _, link := range h["Link"] {
		for _, m := range alternateLink().FindAllStringSubmatch(link, maxAlternates) {
			if u, err := from.Parse(m[1]); err == nil && len(urls) < maxAlternates {
				urls = append(urls, u.String())
			}
		}
	}
	return urls
}
