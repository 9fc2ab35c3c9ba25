package acmetest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Counter counts requests. Its Wrap goes into [Options.Wrap].
type Counter struct {
	mu    sync.Mutex
	paths map[string]int
}

// Wrap counts the requests to next.
func (c *Counter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		if c.paths == nil {
			c.paths = make(map[string]int)
		}
		c.paths[r.URL.Path]++
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// Count returns the number of requests with a path that begins with prefix, such as
// [PathNewOrder]; of all requests if it is empty.
func (c *Counter) Count(prefix string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for path, n := range c.paths {
		if strings.HasPrefix(path, prefix) {
			sum += n
		}
	}
	return sum
}

// Paths returns all counts by path.
func (c *Counter) Paths() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.paths)
}

// Reset starts again from zero.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths = nil
}

// Delay holds each request for d before the CA sees it. It goes into
// [Options.Wrap].
func Delay(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if wait(r.Context(), d) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// Instead lets h answer the first n requests with a path that begins with prefix, and the
// CA all others; a negative n means every such request. It goes into
// [Options.Wrap].
func Instead(prefix string, n int, h http.Handler) func(http.Handler) http.Handler {
	var mu sync.Mutex
	take := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if n > 0 {
			n--
			return true
		}
		return n < 0
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, prefix) && take() {
				h.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// A Problem is an answer with a problem document (RFC 8555, section 6.7), for
// [Instead]. It spends no nonce and gives none.
type Problem struct {
	Status     int           // of HTTP; zero means 503
	Type       string        // such as "rateLimited", without urn:ietf:params:acme:error:
	Detail     string        // for people
	RetryAfter time.Duration // in whole seconds; zero means no header
}

// ServeHTTP sends the problem.
func (p Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if p.Status == 0 {
		p.Status = http.StatusServiceUnavailable
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(p.RetryAfter)))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(map[string]any{
		"type":   "urn:ietf:params:acme:error:" + p.Type,
		"detail": p.Detail,
		"status": p.Status,
	})
}

// Stall answers nothing until the client gives up. It goes into [Instead].
func Stall() http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		// The server notices that an HTTP/1.1 client went away only once
		// the request has been read.
		io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
		<-r.Context().Done()
	})
}

// Reissue lets change alter the leaf of each certificate before the client gets it. An
// issuer of its own signs the leaf, for the key of the order. A certificate for which
// change returns false is not changed. It goes into
// [Options.Wrap].
func Reissue(change func(leaf *x509.Certificate) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, PathCertificate) {
				next.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			body := answer.Body.Bytes()
			if answer.Code == http.StatusOK {
				var err error
				if body, err = reissue(body, change); err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
					return
				}
			}
			maps.Copy(w.Header(), answer.Header())
			w.Header().Del("Content-Length")
			w.WriteHeader(answer.Code)
			w.Write(body)
		})
	}
}

func reissue(chain []byte, change func(*x509.Certificate) bool) ([]byte, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, errors.New("the CA gave no certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	key := leaf.PublicKey
	leaf.SignatureAlgorithm, leaf.AuthorityKeyId = 0, nil
	if !change(leaf) {
		return chain, nil
	}
	by, err := newIssuer()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, by.root, key, by.key)
	if err != nil {
		return nil, err
	}
	return append(certPEM(der), certPEM(by.root.Raw)...), nil
}

// connKey is where a request's context keeps its connection.
type connKey struct{}

func rememberConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// Reset breaks the connection with a TCP reset, and every other request on it
// too. It goes into [Instead].
func Reset() http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		if t, ok := conn.(*tls.Conn); ok {
			conn = t.NetConn()
		}
		if t, ok := conn.(*net.TCPConn); ok {
			t.SetLinger(0)
			t.Close()
		}
	})
}
