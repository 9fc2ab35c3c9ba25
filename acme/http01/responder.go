package http01

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"keypaird/acme"
)

// Path is where a CA requests a token.
const Path = "/.well-known/acme-challenge/"

// A Responder serves the tokens of a directory and nothing else. An answer never
// repeats parts of its request (section 8.3).
type Responder struct {
	Dir string // required; of tokens
}

// ServeHTTP implements http.Handler.
func (r Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	token, ok := strings.CutPrefix(req.URL.EscapedPath(), Path)
	if !ok || !acme.IsToken(token) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	keyAuth, err := filesIn(r.Dir).Read(token)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(keyAuth)))
	if req.Method == http.MethodGet {
		_, _ = io.WriteString(w, keyAuth) // the peer may have gone away
	}
}
