package acmetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Slow gives a CA the latency of a real one. Its Wrap goes into [Options.Wrap].
//
// The model: every request takes RTT, half of it before the CA sees it and half
// before the client sees the answer; handshakes cost nothing extra. Pebble
// validates and signs without delay, but the client sees that only after Validate,
// counted from the arrival of its POST to the challenge, and after Finalize, counted
// from its POST to finalize: until then the authorization is "pending" or the order
// "pending" or "processing", as in Pebble's earlier answer. So a response to a challenge
// that is removed too early is not noticed here.
type Slow struct {
	RTT        time.Duration // of each request
	Validate   time.Duration // from challenge to verdict
	Finalize   time.Duration // from finalize to certificate
	RetryAfter time.Duration // sent with what is held back, in whole seconds; zero means no header
}

// Wrap makes next slow.
func (s Slow) Wrap(next http.Handler) http.Handler {
	return &slowCA{
		Slow:      s,
		next:      next,
		authzOf:   make(map[string]string),
		authzs:    make(map[string]held),
		orders:    make(map[string]held),
		authzList: make(map[string][]string),
	}
}

// held is the earlier state of a resource that a client sees until a time.
type held struct {
	body  []byte
	until time.Time
}

// slowCA keeps by path the states that it has shown and those that it holds back.
type slowCA struct {
	Slow
	next http.Handler

	mu        sync.Mutex
	authzOf   map[string]string   // challenge to its authorization
	authzs    map[string]held     // authorization, while it was pending
	orders    map[string]held     // order, before and during finalization
	authzList map[string][]string // order to its authorizations
}

func (s *slowCA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !wait(r.Context(), s.RTT/2) {
		return
	}
	arrived := time.Now()
	a := answer{header: make(http.Header), status: http.StatusOK}
	s.next.ServeHTTP(&a, r)
	if a.status < 300 {
		s.hold(r.URL.Path, &a, arrived)
	}
	if !wait(r.Context(), s.RTT/2) {
		return
	}
	a.send(w)
}

// hold records an answer, and replaces it by an earlier one if it comes too early.
func (s *slowCA) hold(path string, a *answer, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case path == PathNewOrder:
		s.newOrder(a)
	case strings.HasPrefix(path, PathAuthz):
		s.authz(path, a, now)
	case strings.HasPrefix(path, PathChallenge):
		s.challenge(path, a, now)
	case strings.HasPrefix(path, PathFinalize):
		a.edit(map[string]any{"status": "processing"}, "certificate")
		order := PathOrder + strings.TrimPrefix(path, PathFinalize)
		s.orders[order] = held{bytes.Clone(a.body.Bytes()), now.Add(s.Finalize)}
		s.retryAfter(a)
	case strings.HasPrefix(path, PathOrder):
		s.order(path, a, now)
	}
}

func (s *slowCA) newOrder(a *answer) {
	order := pathOf(a.header.Get("Location"))
	var o struct{ Authorizations []string }
	if json.Unmarshal(a.body.Bytes(), &o) != nil {
		return
	}
	for _, u := range o.Authorizations {
		s.authzList[order] = append(s.authzList[order], pathOf(u))
	}
	s.orders[order] = held{body: bytes.Clone(a.body.Bytes())}
}

func (s *slowCA) authz(path string, a *answer, now time.Time) {
	if h := s.authzs[path]; now.Before(h.until) {
		a.replace(h.body)
		s.retryAfter(a)
		return
	}
	var z struct {
		Status     string
		Challenges []struct{ URL string }
	}
	if json.Unmarshal(a.body.Bytes(), &z) != nil || z.Status != "pending" {
		return
	}
	s.authzs[path] = held{body: bytes.Clone(a.body.Bytes()), until: s.authzs[path].until}
	for _, c := range z.Challenges {
		s.authzOf[pathOf(c.URL)] = path
	}
}

func (s *slowCA) challenge(path string, a *answer, now time.Time) {
	var c struct{ Status string }
	if json.Unmarshal(a.body.Bytes(), &c) != nil || c.Status == "pending" {
		return
	}
	authz := s.authzOf[path]
	h := s.authzs[authz]
	if h.until.IsZero() {
		h.until = now.Add(s.Validate)
		s.authzs[authz] = h
	}
	if now.Before(h.until) {
		a.edit(map[string]any{"status": "processing"}, "validated", "error")
		s.retryAfter(a)
	}
}

func (s *slowCA) order(path string, a *answer, now time.Time) {
	until := s.orders[path].until
	for _, z := range s.authzList[path] {
		if u := s.authzs[z].until; u.After(until) {
			until = u
		}
	}
	if body := s.orders[path].body; body != nil && now.Before(until) {
		a.replace(body)
		s.retryAfter(a)
	}
}

func (s *slowCA) retryAfter(a *answer) {
	if s.RetryAfter > 0 {
		a.header.Set("Retry-After", strconv.Itoa(seconds(s.RetryAfter)))
	}
}

// pathOf returns the path of an absolute URL, "" if it is none.
func pathOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Path
}

// An answer is a response on its way to the client.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header            { return a.header }
func (a *answer) WriteHeader(status int)         { a.status = status }
func (a *answer) Write(data []byte) (int, error) { return a.body.Write(data) }

func (a *answer) replace(body []byte) {
	a.body.Reset()
	a.body.Write(body)
}

// edit sets and drops members of the JSON object in the body.
func (a *answer) edit(set map[string]any, drop ...string) {
	var object map[string]any
	if json.Unmarshal(a.body.Bytes(), &object) != nil {
		return
	}
	maps.Copy(object, set)
	for _, name := range drop {
		delete(object, name)
	}
	if body, err := json.Marshal(object); err == nil {
		a.replace(body)
	}
}
