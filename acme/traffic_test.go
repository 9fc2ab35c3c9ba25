package acme_test

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// traffic counts requests to the CA and its answers. Requests that it refused only for
// their nonce do not count.
type traffic struct {
	mu       sync.Mutex
	requests []exchange
}

type exchange struct {
	path   string
	status int
	body   string // of the answer
}

func (tr *traffic) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := record(next, r)
		if !strings.Contains(rec.Body.String(), "badNonce") {
			tr.mu.Lock()
			tr.requests = append(tr.requests, exchange{r.URL.Path, rec.Code, rec.Body.String()})
			tr.mu.Unlock()
		}
		replay(w, rec)
	})
}

// granted counts the requests below path that the CA did not refuse.
func (tr *traffic) granted(path string) int {
	return tr.count(path, func(x exchange) bool { return x.status < 300 })
}

// asked counts all requests below path.
func (tr *traffic) asked(path string) int {
	return tr.count(path, func(exchange) bool { return true })
}

func (tr *traffic) count(path string, counts func(exchange) bool) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	n := 0
	for _, x := range tr.requests {
		if strings.HasPrefix(x.path, path) && counts(x) {
			n++
		}
	}
	return n
}

// record records the answer of next.
func record(next http.Handler, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec
}

func replay(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes())
}

// rewrite changes the good answers to requests below path.
func rewrite(path string, change func(path string, h http.Header, body []byte) []byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, path) {
				next.ServeHTTP(w, r)
				return
			}
			rec := record(next, r)
			if rec.Code < 300 {
				rec.Body = bytes.NewBuffer(change(r.URL.Path, rec.Header(), rec.Body.Bytes()))
				rec.Header().Del("Content-Length")
			}
			replay(w, rec)
		})
	}
}

// txt solves challenges with the TXT record that record returns.
type txt struct {
	dns    *acmetest.DNS
	record func(c acme.Challenge) (name, value string)
}

func (p txt) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	name, value := p.record(c)
	if err := p.dns.Add(name + ` 1 TXT "` + value + `"`); err != nil {
		return err
	}
	return validate(ctx)
}

// solverFunc is a Solver made of a function.
type solverFunc func(context.Context, acme.Challenge, func(context.Context) error) error

func (f solverFunc) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	return f(ctx, c, validate)
}
