package acme

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"strings"
)

const (
	maxDetail = 512  // of what a CA says; it is not ours to print at length
	maxText   = 4096 // of what is looked through
)

// issuers reads the issuer domain names of a dns-persist-01 challenge, which
// lego does not know. What is no domain name cannot stand in a record.
func issuers(authz []byte, challengeURL string) []string {
	var a struct {
		Challenges []struct {
			URL     string   `json:"url"`
			Issuers []string `json:"issuer-domain-names"`
		} `json:"challenges"`
	}
	if json.Unmarshal(authz, &a) != nil {
		return nil
	}
	var names []string
	for _, c := range a.Challenges {
		for _, name := range c.Issuers {
			if c.URL == challengeURL && isDomain(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func isDomain(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// untrusted reports a TLS certificate that could not be verified.
func untrusted(err error) bool {
	var v *tls.CertificateVerificationError
	return errors.As(err, &v)
}
