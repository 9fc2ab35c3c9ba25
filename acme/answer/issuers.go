package answer

import (
	"encoding/json"
	"strings"
)

// Issuers reads the issuer domain names of a dns-persist-01 challenge, which
// lego does not know. Values that are not domain names are dropped: a record cannot
// have them.
func Issuers(authz []byte, challengeURL string) []string {
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
