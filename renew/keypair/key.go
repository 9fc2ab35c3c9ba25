package keypair

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// NewKey makes a key of a type the configuration knows: ec256 ec384 rsa2048
// rsa3072 rsa4096. A key that comes after ctx has ended is dropped: nothing can
// stop the search for primes.
func NewKey(ctx context.Context, keyType string) (crypto.Signer, error) {
	bits := 0
	switch keyType {
	case "ec256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ec384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa2048":
		bits = 2048
	case "rsa3072":
		bits = 3072
	case "rsa4096":
		bits = 4096
	default:
		return nil, fmt.Errorf("key type %q is not one of ec256 ec384 rsa2048 rsa3072 rsa4096", keyType)
	}
	type made struct {
		key *rsa.PrivateKey
		err error
	}
	done := make(chan made, 1)
	go func() {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		done <- made{key, err}
	}()
	select {
	case m := <-done:
		return m.key, m.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// KeyType is the configuration's word for a public key; empty for one that it
// has no word for.
func KeyType(public crypto.PublicKey) string {
	switch pub := public.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return "ec256"
		case elliptic.P384():
			return "ec384"
		}
	case *rsa.PublicKey:
		switch bits := pub.N.BitLen(); bits {
		case 2048, 3072, 4096:
			return fmt.Sprintf("rsa%d", bits)
		}
	}
	return ""
}

// MarshalKey returns key in PEM, as PKCS#8.
func MarshalKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKey reads one private key in PEM: PKCS#8, SEC 1 or PKCS#1. The curve
// that openssl ecparam writes before a SEC 1 key may be there too.
func ParseKey(data []byte) (crypto.Signer, error) {
	if len(data) > maxKeyBytes {
		return nil, fmt.Errorf("larger than %d KiB", maxKeyBytes>>10)
	}
	blocks, err := splitPEM(data)
	if err != nil {
		return nil, err
	}
	if len(blocks) == 2 && blocks[0].Type == "EC PARAMETERS" && blocks[1].Type == "EC PRIVATE KEY" {
		blocks = blocks[1:] // the key names its curve itself
	}
	if len(blocks) != 1 {
		return nil, fmt.Errorf("%d PEM blocks where one key was expected", len(blocks))
	}
	return parseKeyBlock(blocks[0])
}

func parseKeyBlock(b *pem.Block) (crypto.Signer, error) {
	if b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["Proc-Type"] != "" {
		return nil, errors.New("encrypted: decrypt it first, with openssl pkey")
	}
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(b.Bytes, &outer); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%q block does not hold exactly one value", b.Type)
	}
	var key any
	var err error
	switch b.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	default:
		return nil, fmt.Errorf("a %q block is not a private key", b.Type)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}

// KeyType is the configuration's word for the key: ec256, ec384, rsa2048,
// rsa3072 or rsa4096; empty for any other.
func (p *Pair) KeyType() string { return KeyType(p.Leaf.PublicKey) }
