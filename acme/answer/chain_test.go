package answer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// A CA that sends thousands of certificates does not keep the daemon busy for minutes.
func TestLongChain(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var asPEM, asDER bytes.Buffer
	for n := range maxCerts + 1 {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(n + 1)), NotAfter: time.Now().Add(time.Hour), IsCA: n > 0, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		asDER.Write(der)
		pem.Encode(&asPEM, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		if _, err := Chain(asPEM.Bytes()); (err != nil) != (n == maxCerts) {
			t.Errorf("%d certificates: %v", n+1, err)
		}
	}
	if _, err := Chain(asDER.Bytes()); err == nil {
		t.Error("no error for DER")
	}
}
