package acmetest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// An Identity is a kind of certificate that a server of the CA can have.
type Identity string

// The identities of a CA. [CA.Roots] leads to all but Stranger.
const (
	Genuine   Identity = ""                // the CA's own
	Stranger  Identity = "stranger"        // of a root that nobody knows
	OtherName Identity = "another host"    // for another host
	Expired   Identity = "expired"         // no longer valid
	Early     Identity = "not yet valid"   // not valid before tomorrow
	ForClient Identity = "not of a server" // that may not be used by servers
	Cut       Identity = "cut chain"       // signed by an intermediate that is not sent
)

// An issuer signs the certificates of a CA's own servers.
type issuer struct {
	root *x509.Certificate
	key  crypto.Signer
}

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := sign(authority("acmetest throw-away root"), nil, key, key)
	return &issuer{root, key}, err
}

// authority returns the template of an issuer's certificate.
func authority(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-48 * time.Hour),
		NotAfter:              now.Add(48 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// sign signs a certificate; one without a parent signs itself.
func sign(t, parent *x509.Certificate, holder, signer crypto.Signer) (*x509.Certificate, error) {
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, holder.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issue makes a certificate for this machine and further names, or the one of an identity.
func (i *issuer) issue(as Identity, names ...string) (tls.Certificate, error) {
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "acmetest CA"},
		DNSNames:     append([]string{"localhost"}, names...),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	by := i
	switch as {
	case Stranger:
		by, err = newIssuer()
	case Cut:
		by, err = i.intermediate()
	case OtherName:
		leaf.DNSNames, leaf.IPAddresses = []string{"other.example"}, nil
	case Expired:
		leaf.NotBefore, leaf.NotAfter = now.Add(-24*time.Hour), now.Add(-time.Hour)
	case Early:
		leaf.NotBefore = now.Add(23 * time.Hour)
	case ForClient:
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := sign(leaf, by.root, key, by.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// intermediate returns an issuer with a certificate of this issuer.
func (i *issuer) intermediate() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := sign(authority("acmetest intermediate"), i.root, key, i.key)
	return &issuer{cert, key}, err
}

// Pool returns the certificates in a file, such as [CA.Roots].
func Pool(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

// certPEM returns certificates in PEM, one after another.
func certPEM(ders ...[]byte) []byte {
	var buf bytes.Buffer
	for _, der := range ders {
		buf.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return buf.Bytes()
}
