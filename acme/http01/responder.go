package http01

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"keypaird/acme"
	"keypaird/renew/durable"
)

// Path is where a CA requests a token.
const Path = "/.well-known/acme-challenge/"

const (
	maxKeyAuth = 512       // a key authorization is a token, a dot and 43 characters
	unfinished = ".token-" // begins the name of a token that is being written
)

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
	keyAuth, err := readToken(r.Dir, token)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(keyAuth)))
	if req.Method == http.MethodGet {
		_, _ = w.Write(keyAuth) // the peer may have gone away
	}
}

var errNotToken = errors.New("not the file of a token")

// readToken returns the key authorization of a live token. Only a plain file that
// begins with the token counts; symbolic links are not followed.
func readToken(dir, token string) ([]byte, error) {
	data, _, err := durable.ReadFile(filepath.Join(dir, token), maxKeyAuth, durable.NoLink)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(data), token+".") {
		return nil, errNotToken
	}
	return data, nil
}

// writeToken makes a token live, in one step.
func writeToken(dir, token, keyAuth string, mode fs.FileMode) error {
	if !acme.IsToken(token) {
		return errNotToken
	}
	f, err := os.CreateTemp(dir, unfinished+"*")
	if err != nil {
		return err
	}
	err = f.Chmod(mode)
	if err == nil {
		_, err = f.WriteString(keyAuth)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, token))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // a file that stays is swept a day later
	}
	return err
}
