package probe

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Bytes read from an endpoint at most: before TLS, and in the handshake.
const (
	maxTalk      = 64 << 10
	maxHandshake = 1 << 20
)

// label replaces the "*" of a wildcard.
const label = "keypaird-probe"

// errTooMuch reports an endpoint that sent more than the limit.
var errTooMuch = errors.New("the server sent too much data")

// A StaleError reports an endpoint that serves another certificate.
type StaleError struct {
	Endpoint   Endpoint
	Addr       netip.Addr // of its host; zero: any
	ServerName string     // the requested name
	Got, Want  string     // fingerprints: SHA-256 of the certificate, lower-case hex
	NotAfter   time.Time  // of the certificate served
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s serves certificate %.16s for %q, not %.16s",
		At(e.Endpoint, e.Addr), e.Got, e.ServerName, e.Want)
}

// Remedy says what the operator can do about it.
func (e *StaleError) Remedy() string {
	return "check that the server's configuration names the deployed files, that its user may read them, and that its reload took effect"
}

// Fingerprint returns the SHA-256 of a certificate, in lower-case hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Dial requests serverName from e and returns the chain served, leaf first, at
// least one certificate long. It runs a [Probe] with default settings: for a
// wildcard a label replaces "*"; an IP address is not sent as SNI (RFC 6066,
// section 3).
func Dial(ctx context.Context, e Endpoint, serverName string) ([]*x509.Certificate, error) {
	s, err := Probe{Endpoint: e, SNI: serverName}.Run(ctx)
	return s.Chain, err
}
