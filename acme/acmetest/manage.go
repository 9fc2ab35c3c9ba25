package acmetest

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/letsencrypt/pebble/v2/acme"
)

// RootPEM is the root of the CA's chain n in PEM: 0 is the chain it sends, the
// rest are its alternates. It is empty when there is no such chain.
func (c *CA) RootPEM(n int) []byte {
	root := c.pebble.ca.GetRootCert(n)
	if root == nil {
		return nil
	}
	return root.PEM()
}

// RootPool returns the root of the CA's chain n as a pool.
func (c *CA) RootPool(n int) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.RootPEM(n))
	return pool
}

// SetRenewalInfo makes answer the renewal information of leaf, with status 200 and
// Retry-After 21600. It need not be valid.
func (c *CA) SetRenewalInfo(leaf *x509.Certificate, answer string) error {
	if err := c.pebble.db.SetARIResponse(leaf.SerialNumber, answer); err != nil {
		return fmt.Errorf("setting renewal information: %w", err)
	}
	return nil
}

// Challenges returns the type of the challenge by which each name of leaf was
// validated. A wildcard is named with its "*.".
func (c *CA) Challenges(leaf *x509.Certificate) (map[string]string, error) {
	order, err := c.pebble.db.GetOrderByIssuedSerial(hex.EncodeToString(leaf.SerialNumber.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("asking the CA for the order of %v: %w", leaf.DNSNames, err)
	}
	challenges := make(map[string]string)
	for _, authz := range order.AuthorizationObjects {
		authz.RLock()
		for _, ch := range authz.Challenges {
			ch.RLock()
			if ch.Status == acme.StatusValid {
				challenges[authz.Identifier.Value] = ch.Type
			}
			ch.RUnlock()
		}
		authz.RUnlock()
	}
	return challenges, nil
}

// Revoked reports whether leaf was revoked, and for which reason (RFC 5280, section
// 5.3.1; 0 when none was given).
func (c *CA) Revoked(leaf *x509.Certificate) (reason uint, revoked bool) {
	r := c.pebble.db.GetRevokedCertificateBySerial(leaf.SerialNumber)
	if r == nil {
		return 0, false
	}
	if r.Reason != nil {
		reason = *r.Reason
	}
	return reason, true
}
