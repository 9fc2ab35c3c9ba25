package acme

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"

	legoacme "github.com/go-acme/lego/v4/acme"
)

// Revoke revokes a certificate (RFC 8555, section 7.6). A nil reason gives none.
// One that is revoked already is no error.
func (c *Client) Revoke(ctx context.Context, leaf *x509.Certificate, reason *uint) (err error) {
	defer recoverTo(&err, c.log)
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	defer c.done(s)
	_, err = call(ctx, s, tries, func() (struct{}, error) {
		return struct{}{}, s.core.Certificates.Revoke(legoacme.RevokeCertMessage{
			Certificate: base64.RawURLEncoding.EncodeToString(leaf.Raw), Reason: reason,
		})
	})
	var p *Problem
	if errors.As(err, &p) && p.Type == "alreadyRevoked" {
		return nil
	}
	return err
}
