package keypair

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Bounds on what is read, far above what any CA sends.
const (
	maxChainBytes   = 256 << 10
	maxKeyBytes     = 16 << 10
	maxCertificates = 16
	maxRSABits      = 16384 // a larger one is only there to keep us busy
)

// A Pair is a private key and the chain that certifies it. It is made by
// [Parse], which has verified that they belong together, and does not change.
type Pair struct {
	Leaf  *x509.Certificate
	Chain []*x509.Certificate // the issuer of Leaf first; a root may be the last

	key         crypto.Signer
	keyPEM      []byte // PKCS#8
	leafPEM     []byte
	chainPEM    []byte
	fingerprint string
}

// Parse reads a certificate chain, leaf first, and its private key. It refuses
// a key of another certificate, a chain out of order, and anything it would
// have to pass over: text outside PEM blocks, truncated blocks, other blocks.
func Parse(fullchainPEM, keyPEM []byte) (*Pair, error) {
	certs, err := parseCertificates(fullchainPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate chain: %w", err)
	}
	key, err := ParseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if err := matches(key, certs); err != nil {
		return nil, err
	}
	if err := ordered(certs); err != nil {
		return nil, err
	}
	p := &Pair{Leaf: certs[0], Chain: certs[1:], key: key, fingerprint: Fingerprint(certs[0])}
	if p.keyPEM, err = MarshalKey(key); err != nil {
		return nil, err
	}
	p.leafPEM = encode(certs[:1])
	p.chainPEM = encode(certs[1:])
	return p, nil
}

// Fingerprint is the SHA-256 of the leaf in lower-case hex.
func (p *Pair) Fingerprint() string { return p.fingerprint }

// Cert is the leaf in PEM.
func (p *Pair) Cert() []byte { return bytes.Clone(p.leafPEM) }

// ChainPEM is everything after the leaf in PEM; empty if there is nothing.
func (p *Pair) ChainPEM() []byte { return bytes.Clone(p.chainPEM) }

// FullChain is the leaf and everything after it in PEM.
func (p *Pair) FullChain() []byte { return bytes.Join([][]byte{p.leafPEM, p.chainPEM}, nil) }

// Key is the private key in PEM, as PKCS#8 whatever form it was read in.
func (p *Pair) Key() []byte { return bytes.Clone(p.keyPEM) }

// Combined is the key, then the full chain, for servers that read one file.
func (p *Pair) Combined() []byte {
	return bytes.Join([][]byte{p.keyPEM, p.leafPEM, p.chainPEM}, nil)
}

// valid reports whether p came from Parse.
func (p *Pair) valid() bool { return p != nil && p.Leaf != nil && p.key != nil }

// Fingerprint returns the SHA-256 of a certificate in lower-case hex.
func Fingerprint(leaf *x509.Certificate) string { return fingerprintOf(leaf.Raw) }

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func encode(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	spans, err := certificateSpans(data)
	if err != nil {
		return nil, err
	}
	certs := make([]*x509.Certificate, len(spans))
	for i, span := range spans {
		if certs[i], err = parseCertificate(span); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
	}
	return certs, nil
}

// certificateSpans takes a chain apart without reading the certificates.
func certificateSpans(data []byte) ([][]byte, error) {
	if len(data) > maxChainBytes {
		return nil, fmt.Errorf("larger than %d KiB", maxChainBytes>>10)
	}
	spans, err := spansPEM(data)
	if err == nil && len(spans) > maxCertificates {
		err = fmt.Errorf("%d certificates, more than %d", len(spans), maxCertificates)
	}
	return spans, err
}

func parseCertificate(span []byte) (*x509.Certificate, error) {
	b, err := decodePEM(span)
	switch {
	case err != nil:
		return nil, fmt.Errorf("PEM block %w", err)
	case b.Type != "CERTIFICATE":
		return nil, fmt.Errorf("PEM block is a %q", b.Type)
	case len(b.Headers) > 0:
		return nil, errors.New("PEM block has headers, which certificates do not have")
	}
	return x509.ParseCertificate(b.Bytes)
}

// matches reports whether key is the key of the first certificate.
func matches(key crypto.Signer, certs []*x509.Certificate) error {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return fmt.Errorf("private key: a %T cannot be compared", key.Public())
	}
	for i, c := range certs {
		switch {
		case !pub.Equal(c.PublicKey):
		case i == 0:
			return nil
		default:
			return fmt.Errorf("chain is out of order: the private key belongs to certificate %d, not to the first", i+1)
		}
	}
	return errors.New("private key does not belong to the certificate")
}

// ordered reports whether each certificate is signed by the next one.
func ordered(certs []*x509.Certificate) error {
	for i, c := range certs[1:] {
		for j, earlier := range certs[:i+1] {
			if bytes.Equal(c.Raw, earlier.Raw) {
				return fmt.Errorf("chain is out of order: certificate %d repeats certificate %d", i+2, j+1)
			}
		}
		if pub, ok := c.PublicKey.(*rsa.PublicKey); ok && pub.N.BitLen() > maxRSABits {
			return fmt.Errorf("certificate %d: RSA key of %d bits, more than %d", i+2, pub.N.BitLen(), maxRSABits)
		}
		if err := certs[i].CheckSignatureFrom(c); err != nil {
			return fmt.Errorf("chain is out of order: certificate %d does not sign certificate %d: %w", i+2, i+1, err)
		}
	}
	return nil
}
