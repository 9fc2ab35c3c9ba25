package acmetest

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Tokens is a bare http-01 responder on a port of 127.0.0.1.
type Tokens struct {
	server *http.Server
	served chan error
	end    func() error
	keys   sync.Map // token to key authorization
}

// StartTokens answers http-01 challenges at [CA.HTTPPort]. The caller closes it.
func StartTokens(port int) (*Tokens, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	t := &Tokens{served: make(chan error, 1)}
	t.end = sync.OnceValue(t.close)
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go func() { t.served <- t.server.Serve(ln) }()
	return t, nil
}

// Set makes keyAuth the response for a token.
func (t *Tokens) Set(token, keyAuth string) { t.keys.Store(token, keyAuth) }

// Delete removes the response for a token.
func (t *Tokens) Delete(token string) { t.keys.Delete(token) }

func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// RFC 8555, section 8.3.
	token, ok := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
	if keyAuth, found := t.keys.Load(token); ok && found {
		io.WriteString(w, keyAuth.(string))
		return
	}
	http.NotFound(w, r)
}

// Close stops the responder. It may be called again.
func (t *Tokens) Close() error { return t.end() }

func (t *Tokens) close() error {
	err := t.server.Close()
	if serr := <-t.served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
