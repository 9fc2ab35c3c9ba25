package record

import (
	"crypto/x509"

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
