package acme

import "context"

// A Challenge is one challenge of an authorization, ready to be answered.
type Challenge struct {
	Type       string   // HTTP01, DNS01 or DNSPersist01
	Identifier string   // the DNS name, without "*.", or the IP address to prove
	Wildcard   bool     // the authorization is for "*." + Identifier
	Token      string   // RFC 8555, section 8.1; base64url characters only
	KeyAuth    string   // key authorization: token, ".", thumbprint of the account key
	Issuers    []string // issuer domain names a dns-persist-01 record may name
	AccountURL string   // the account that asks

	// Queued is told when the challenge begins to wait until another one is
	// removed, and when that wait is over. The other challenges of its order are
	// validated meanwhile: they may be what it waits for. May be nil.
	Queued func(bool)
}

// Challenge types, in the spelling of the ACME registry.
const (
	HTTP01       = "http-01"
	DNS01        = "dns-01"
	DNSPersist01 = "dns-persist-01"
)

// A Prover answers challenges of one type.
type Prover interface {
	// Prove publishes the response to c, calls validate, which asks the CA to
	// look and waits for its verdict, and withdraws the response whatever
	// happened. It is called concurrently for all challenges of an order, and
	// validate returns once all that are published have a verdict.
	Prove(ctx context.Context, c Challenge, validate func(context.Context) error) error
}

// IsToken reports whether s is a token: base64url characters, 128 bits or more
// (section 8.1), and so fit to be a file name.
func IsToken(s string) bool {
	if len(s) < 22 || len(s) > 128 {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return false
		}
	}
	return true
}
