package acme

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// A garbledError reports a good status with an answer that is not of its kind
// at all: cut off, or the page of a proxy. The CA may well have done what it was
// asked, and the same request may be answered later.
type garbledError struct {
	host, resource, begins string
}

func (e *garbledError) Error() string {
	return fmt.Sprintf("the answer of %s is no %s: %q", e.host, e.resource, e.begins)
}

// isGarbled reports whether the body of a good answer is none of its resource.
func isGarbled(resource string, body []byte) bool {
	switch resource {
	case resDirectory, resAccount, resChallenge:
		return !json.Valid(body) || bytes.TrimLeft(body, " \t\r\n")[0] != '{'
	case resOrder, resAuthz, resFinalize:
		var object struct{ Status string } // RFC 8555, sections 7.1.3 and 7.1.4
		return json.Unmarshal(body, &object) != nil || object.Status == ""
	case resCert:
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

// isGarbledAnswer reports whether err is about a garbled answer.
func isGarbledAnswer(err error) bool {
	var a *AnswerError
	return errors.As(err, &a) && a.Garbled
}

const (
	maxProblem     = 64 << 10 // a problem document that is longer is none
	maxSubproblems = 100
)

// ownNS begins the types of problems that lego must not know: it would send the
// request again by itself, after a wait that is deaf to contexts and without a
// word to us.
const (
	ownNS    = "urn:keypaird:"
	badNonce = ownNS + "badNonce"
)

// keptFromLego are those.
var keptFromLego = []string{"badNonce", "alreadyReplaced"}

// problemBody returns body as a problem document (RFC 7807) that lego can read
// whatever the CA, or a proxy before it, really sent: HTML, null, numbers as
// text. The status is that of the response.
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
	if i := slices.IndexFunc(keptFromLego, func(kind string) bool { return p["type"] == errNS+kind }); i >= 0 {
		p["type"] = ownNS + keptFromLego[i]
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
