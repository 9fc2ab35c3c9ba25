package servers

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"time"

	"keypaird/renew/keypair"
)

// What was bought is kept in these files.
const boughtChain, boughtKey = ours + "/bought.crt", ours + "/bought.key"

// buyWeak gets a certificate for the plain domain as they were sold long ago:
// it is whole, and OpenSSL refuses to use its key.
func (r *rig) buyWeak() {
	r.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		r.t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: r.targets[0].names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	keyPEM, err := keypair.MarshalKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	write(r.t, boughtChain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if err := os.WriteFile(boughtKey, keyPEM, 0o600); err != nil {
		r.t.Fatal(err)
	}
}
