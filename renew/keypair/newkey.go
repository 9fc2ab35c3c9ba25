package keypair

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
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
