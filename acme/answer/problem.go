package answer

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"keypaird/renew/textfmt"
)

const (
	maxProblem     = 64 << 10 // of a problem document
	maxSubproblems = 100
)

// Namespaces of problem types. The first is RFC 8555's; the second hides a type
// from lego, which would repeat the request by itself, without regard to contexts.
const (
	acmeNS = "urn:ietf:params:acme:error:"
	ownNS  = "urn:keypaird:"
)

// hidden are the types that are hidden from lego.
var hidden = []string{"badNonce", "alreadyReplaced"}

// ProblemType returns the type of a problem document without its namespace, "" for
// none.
func ProblemType(urn string) string {
	if urn == "about:blank" {
		return ""
	}
	return textfmt.OneLine(strings.TrimPrefix(strings.TrimPrefix(urn, ownNS), acmeNS), 64)
}

// Problem returns body as a problem document (RFC 7807) that lego can read, even
// if the CA, or a proxy before it, sent something else: HTML, null, numbers as text.
// The status is that of the response; zero means that the document came inside
// an answer.
func Problem(status int, body []byte) []byte {
	var fields map[string]json.RawMessage
	if len(body) <= maxProblem {
		_ = json.Unmarshal(body, &fields) // not an object: no fields
	}
	p := map[string]any{"status": status, "type": "about:blank"}
	for _, key := range []string{"type", "detail", "instance"} {
		var s string
		if json.Unmarshal(fields[key], &s) == nil && s != "" {
			p[key] = s
		}
	}
	if i := slices.IndexFunc(hidden, func(kind string) bool { return p["type"] == acmeNS+kind }); i >= 0 {
		p["type"] = ownNS + hidden[i]
	}
	var subs []struct {
		Type       string `json:"type"`
		Detail     string `json:"detail"`
		Identifier struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"identifier"`
	}
	if json.Unmarshal(fields["subproblems"], &subs) == nil && len(subs) > 0 {
		p["subproblems"] = subs[:min(len(subs), maxSubproblems)]
	}
	var algorithms []string // RFC 8555, section 6.2
	if json.Unmarshal(fields["algorithms"], &algorithms) == nil && len(algorithms) > 0 {
		p["algorithms"] = algorithms
	}
	if p["detail"] == nil {
		p["detail"] = http.StatusText(status)
	}
	out, _ := json.Marshal(p) // strings and numbers always marshal
	return out
}
