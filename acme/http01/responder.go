package http01

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"keypaird/acme"
	"keypaird/acme/responder/front"
)

// Path is where a CA requests a token.
const Path = "/.well-known/acme-challenge/"

var errNoToken = errors.New("not a token")

// Serve answers at sockets in the background until it is closed. token is as in
// Responder.
func Serve(ls []net.Listener, token func(string) (string, error)) io.Closer {
	return front.Serve(ls, Responder{token})
}

// A Responder serves tokens and nothing else. An answer never repeats parts of its
// request (section 8.3).
type Responder struct {
	Token func(token string) (keyAuth string, err error) // required; called with text that has the form of a token
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
	keyAuth, err := r.Token(token)
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
