package status

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// paths are all that is served.
func paths() []string { return []string{"/", "/status.json", "/metrics", "/healthz"} }

// A site is a Server behind a Front.
type site struct {
	*Server
	*Front
}

func newSite(s *Server) site {
	turn := make(chan struct{}, 1)
	return site{s, &Front{Ask: func(_ context.Context, page string) ([]byte, error) {
		turn <- struct{}{}
		defer func() { <-turn }()
		return s.Answer(page), nil
	}}}
}

// serving is a site that shows doc.
func serving(doc Document) site {
	return newSite(&Server{
		Collect: func() (Document, error) { return doc, nil }, Metrics: NewMetrics("1.2"),
		Log: slog.New(slog.DiscardHandler), Machine: "matrix",
	})
}

// ask asks as from this machine.
func ask(s http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+target, nil))
	return w
}

func get(t testing.TB, s http.Handler, path string) string {
	t.Helper()
	w := ask(s, http.MethodGet, path)
	if w.Code != http.StatusOK && path != "/healthz" {
		t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

func TestRoutes(t *testing.T) {
	s := serving(Document{Time: now, Healthy: true, Targets: []Target{}})
	without := newSite(&Server{Collect: s.Collect, Log: s.Log})
	for _, tt := range []struct {
		name         string
		s            site
		method, path string
		want         int
		kind, body   string
	}{
		{"the page", s, "GET", "/", 200, "text/html; charset=utf-8", "<h1>keypaird on matrix</h1>"},
		{"for programs", s, "GET", "/status.json", 200, "application/json", `"healthy": true`},
		{"for Prometheus", s, "GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", `keypaird_build_info{goversion="go`},
		{"for load balancers", s, "GET", "/healthz", 200, "text/plain; charset=utf-8", "ok\n"},
		{"nobody counts", without, "GET", "/metrics", 404, "text/plain; charset=utf-8", "not found: see /, "},
		{"nothing there", s, "GET", "/status.json/", 404, "text/plain; charset=utf-8", "not found: see /, "},
		{"a way out", s, "GET", "/../etc/passwd", 404, "text/plain; charset=utf-8", "not found: see /, "},
		{"a query", s, "GET", "/healthz?verbose", 200, "text/plain; charset=utf-8", "ok\n"},
		{"a change", s, "POST", "/", 405, "text/plain; charset=utf-8", "only GET and HEAD"},
		{"another change", s, "DELETE", "/status.json", 405, "text/plain; charset=utf-8", "only GET and HEAD"},
		{"a question", s, "OPTIONS", "/", 405, "text/plain; charset=utf-8", "only GET and HEAD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(tt.s, tt.method, tt.path)
			if w.Code != tt.want || w.Header().Get("Content-Type") != tt.kind || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("%d %q %s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			for header, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
				"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'; ") {
				t.Errorf("Content-Security-Policy: %q", w.Header().Get("Content-Security-Policy"))
			}
			if tt.want == 405 && w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
}

// A HEAD is a GET without the body, over a real connection.
func TestHead(t *testing.T) {
	srv := httptest.NewServer(serving(Document{Time: now, Healthy: true}))
	defer srv.Close()
	for _, path := range paths() {
		resp, err := srv.Client().Head(srv.URL + path)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || len(body) > 0 || err != nil {
			t.Errorf("HEAD %s: %s %q %v", path, resp.Status, body, err)
		}
	}
}

// A site of the web whose name is made to lead to our loopback address learns
// nothing.
func TestRebinding(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8403}
	for _, tt := range []struct {
		name, host string
		at         net.Addr
		want       int
	}{
		{"by name", "localhost:8403", loopback, 200},
		{"by name, without a port", "LocalHost", loopback, 200},
		{"by name with its dot", "localhost.:8403", loopback, 200},
		{"by address", "127.0.0.1:8403", loopback, 200},
		{"by another address", "[::1]:8403", loopback, 200},
		{"by another address, without a port", "[::1]", loopback, 200},
		{"by the name it listens as", "Status.example.org:8403", loopback, 200},
		{"without a name, as HTTP/1.0", "", loopback, 200},
		{"by a name of the web", "evil.example:8403", loopback, 421},
		{"by a name that looks like ours", "localhost.evil.example", loopback, 421},
		{"by what looks like an address", "127.0.0.1.evil.example:8403", loopback, 421},
		{"by what browsers take for an address", "0x7f.1:8403", loopback, 421},
		{"by a broken name", "[::1", loopback, 421},
		{"on IPv6 loopback", "evil.example", &net.TCPAddr{IP: net.IPv6loopback}, 421},
		{"where we listen is not known", "evil.example", nil, 421},
		{"on an address for others", "evil.example", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, 421},
		{"on an address for others, by it", "192.0.2.1:8403", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, 200},
		{"on an address for others, by a name of ours", "Chat.example.org.:8403", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, 200},
		{"by a name below ours", "evil.chat.example.org", loopback, 421},
		{"behind a proxy, on a unix socket", "status.example.net", &net.UnixAddr{Name: "/run/keypaird.sock"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serving(Document{Time: now, Healthy: true})
			s.Listen, s.Names = "status.example.org:8403", []string{"chat.example.org"}
			for _, path := range paths() {
				req := httptest.NewRequest("GET", path, nil)
				req.Host = tt.host
				if tt.at != nil {
					req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, tt.at))
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, req)
				if w.Code != tt.want {
					t.Errorf("%s: %d, want %d", path, w.Code, tt.want)
				}
				if tt.want == 421 && (strings.Contains(w.Body.String(), "evil") || !strings.Contains(w.Body.String(), "localhost")) {
					t.Errorf("%s: %s", path, w.Body)
				}
			}
		})
	}
}

func TestHealth(t *testing.T) {
	doc := newDesk(t).document()
	w := ask(serving(doc), "GET", "/healthz")
	if w.Code != http.StatusServiceUnavailable || doc.Healthy {
		t.Errorf("status %d, document healthy %t, though much is wrong", w.Code, doc.Healthy)
	}
	for _, want := range []string{
		"expired: expired 2026-02-28 12:00Z; wait until 2026-03-01 12:40Z: expired, but the last try failed\n",
		"missing: no certificate is live; wait until 2026-03-01 12:40Z: no certificate, but the last try failed\n",
		"never-tried: no certificate is live; order now: no certificate\n",
		"late: expires 2026-03-11 12:00Z, should have been replaced by 2026-02-24 12:00Z; order now: due\n",
		"damaged: no usable certificate is live: ",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not in\n%s", want, w.Body)
		}
	}
	var well Document
	for _, target := range doc.Targets {
		concern := target.Live == nil || !now.Before(target.OverdueAt)
		if listed := strings.Contains(w.Body.String(), target.Name+": "); listed != concern && target.Name != "hostile-issuer" {
			t.Errorf("%s is listed: %t, want %t", target.Name, listed, concern)
		}
		if !concern {
			well.Targets = append(well.Targets, target)
		}
	}
	well.Time = now
	if w := ask(serving(well), "GET", "/healthz"); w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("%d %s, though something fails long before it is a concern: that is for the page", w.Code, w.Body)
	}
}
