package keypair

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

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
