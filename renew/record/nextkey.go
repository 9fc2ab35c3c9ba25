package record

import (
	"context"
	"crypto/x509"
	"errors"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
)

// NextKeyFile holds the key of the certificate after the newest, in PEM. It is
// written before its record is shown. It may be the newest version's
// own when the process was killed before it made another.
const NextKeyFile = "nextkey.pem"

// LoadNextKey reads the key of the certificate after the newest of a target. A missing or
// damaged one is none.
func LoadNextKey(s *keypair.Store, name string, newest *x509.Certificate) (*rollover.Key, error) {
	data, err := s.ReadFile(name, NextKeyFile)
	if keypair.None(err) {
		return nil, nil
	}
	return rollover.ParseKey(data, newest), err
}

// MakeNextKey makes a key of the given type, and writes it to the disk.
func MakeNextKey(ctx context.Context, s *keypair.Store, name, keyType string) (*rollover.Key, error) {
	key, err := keypair.NewKey(ctx, keyType)
	if err != nil {
		return nil, err
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	next, err := rollover.NewKey(key)
	if err != nil {
		return nil, err
	}
	err = s.WriteFile(name, NextKeyFile, data)
	var written *durable.WriteError
	if err != nil && !(errors.As(err, &written) && written.Done) {
		return nil, err
	}
	return next, nil
}
