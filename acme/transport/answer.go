package transport

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"keypaird/renew/textfmt"
)

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, section
// 10.2.3), which is by the CA's clock if Date is there. It is zero for a header
// that is invalid or in the past.
func retryAfter(h http.Header, now time.Time) time.Time {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil && s > 0 {
		return now.Add(time.Duration(s) * time.Second)
	}
	t, err := http.ParseTime(v)
	if date, e := http.ParseTime(h.Get("Date")); err == nil && e == nil {
		t = now.Add(t.Sub(date))
	}
	if err == nil && t.After(now) {
		return t
	}
	return time.Time{}
}

// isMalformed reports whether the body of a good answer cannot be of its resource.
func isMalformed(resource string, body []byte) bool {
	switch resource {
	case resourceDirectory, ResourceAccount, ResourceChallenge:
		return !json.Valid(body) || bytes.TrimLeft(body, " \t\r\n")[0] != '{'
	case ResourceOrder, ResourceAuthz, ResourceFinalize:
		var object struct{ Status string } // RFC 8555, sections 7.1.3 and 7.1.4
		return json.Unmarshal(body, &object) != nil || object.Status == ""
	case ResourceCert:
		return !hasWholeBlocks(body)
	}
	return false
}

// hasWholeBlocks reports whether there are PEM blocks, and none of them is cut
// off.
func hasWholeBlocks(data []byte) bool {
	block, rest := pem.Decode(data)
	found := block != nil
	for block != nil {
		data = rest
		block, rest = pem.Decode(data)
	}
	return found && len(bytes.TrimSpace(data)) == 0
}

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

// problemBody returns body as a problem document (RFC 7807) that lego can read, even
// if the CA, or a proxy before it, sent something else: HTML, null, numbers as text.
// The status is that of the response.
func problemBody(status int, body []byte) []byte {
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
	if p["detail"] == nil {
		p["detail"] = http.StatusText(status)
	}
	out, _ := json.Marshal(p) // strings and numbers always marshal
	return out
}
