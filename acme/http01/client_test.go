package http01

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"keypaird/acme"
	"keypaird/renew/netaddr"
)

// A web is servers on ports 80 and 443 of one address, as a Client sees them.
type web struct {
	http, https *httptest.Server
	dialed      []string
}

func newWeb(t *testing.T, h http.HandlerFunc) *web {
	w := &web{http: httptest.NewServer(h), https: httptest.NewTLSServer(h)}
	t.Cleanup(w.http.Close)
	t.Cleanup(w.https.Close)
	return w
}

func (w *web) client() Client {
	return Client{
		Addresses: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host != "other.test" {
				return nil, errors.New("no such name")
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, nil
		},
		dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			w.dialed = append(w.dialed, addr)
			host, port, _ := net.SplitHostPort(addr)
			switch {
			case host == "192.0.2.1":
				return nil, errors.New("no route")
			case port == "443":
				addr = w.https.Listener.Addr().String()
			default:
				addr = w.http.Listener.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
}

// A Client follows redirects as CAs do.
func TestRedirects(t *testing.T) {
	for _, tt := range []struct {
		name  string
		to    func(r *http.Request) string // "": the token
		want  string                       // in the error; "": none
		dials string                       // the last
	}{
		{"none", func(*http.Request) string { return "" }, "", "127.0.0.1:80"},
		{"to https", func(r *http.Request) string {
			if r.TLS != nil {
				return ""
			}
			return "https://a.test" + r.URL.Path
		}, "", "127.0.0.1:443"},
		{"to another path", func(r *http.Request) string {
			if r.URL.Path == "/acme" {
				return ""
			}
			return "/acme"
		}, "", "127.0.0.1:80"},
		{"to another host, at the address that answers", func(r *http.Request) string {
			if r.Host == "other.test" {
				return ""
			}
			return "https://other.test/x"
		}, "", "192.0.2.2:443"},
		{"to a host that is none", func(*http.Request) string { return "https://none.test/x" }, "redirected to https://none.test/x: dial tcp: no such name", "127.0.0.1:80"},
		{"to another port", func(*http.Request) string { return "https://a.test:8443/" }, "ports 80 and 443 only", "127.0.0.1:80"},
		{"to another scheme", func(*http.Request) string { return "ftp://a.test/" }, "ports 80 and 443 only", "127.0.0.1:80"},
		{"ten", func(r *http.Request) string {
			if len(r.URL.Path) >= len(Path+token)+10 {
				return ""
			}
			return r.URL.Path + "x"
		}, "", "127.0.0.1:80"},
		{"eleven", func(r *http.Request) string {
			if len(r.URL.Path) >= len(Path+token)+11 {
				return ""
			}
			return r.URL.Path + "x"
		}, "more than 10 redirects", "127.0.0.1:80"},
		{"to a page that is missing", func(r *http.Request) string {
			if r.URL.Path == "/gone" {
				return "404"
			}
			return "/gone"
		}, "redirected to http://a.test/gone: http status 404", "127.0.0.1:80"},
		{"to a page", func(r *http.Request) string {
			if r.URL.Path == "/page" {
				return "page"
			}
			return "/page"
		}, `redirected to http://a.test/page: the response is not our token but "<html>`, "127.0.0.1:80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
				switch to := tt.to(r); to {
				case "":
					io.WriteString(w, keyAuth+"\n")
				case "404":
					http.NotFound(w, r)
				case "page":
					io.WriteString(w, "<html>\x1b"+strings.Repeat("x", 1<<20))
				default:
					w.Header().Set("Location", to)
					w.WriteHeader(http.StatusMovedPermanently)
				}
			})
			err := w.client().Ask(t.Context(), netip.MustParseAddr("127.0.0.1"), challenge)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\n\x1b")) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if last := w.dialed[len(w.dialed)-1]; last != tt.dials {
				t.Errorf("dialed %v, want %s last", w.dialed, tt.dials)
			}
		})
	}
}

func TestHostOfAnAddress(t *testing.T) {
	for identifier, want := range map[string]string{"a.test": "a.test", "192.0.2.1": "192.0.2.1", "2001:db8::1": "[2001:db8::1]"} {
		host := ""
		w := newWeb(t, func(w http.ResponseWriter, r *http.Request) { host = r.Host; io.WriteString(w, keyAuth) })
		c := acme.Challenge{Type: acme.HTTP01, Identifier: identifier, Token: token, KeyAuth: keyAuth}
		if err := w.client().Ask(t.Context(), netip.MustParseAddr("192.0.2.2"), c); err != nil || host != want {
			t.Errorf("Host of %s = %q, %v; want %q", identifier, host, err, want)
		}
	}
}

// A redirect leads to no address that is more private than that of the name.
func TestRedirectToPrivateAddress(t *testing.T) {
	for _, tt := range []struct {
		own, other string
		follows    bool
	}{
		{"192.0.2.2", "192.0.2.3", true},
		{"192.0.2.2", "10.0.0.5", false},
		{"192.0.2.2", "127.0.0.1", false},
		{"192.0.2.2", "169.254.169.254", false},
		{"192.0.2.2", "::ffff:10.0.0.5", false},
		{"192.0.2.2", "64:ff9b::a9fe:a9fe", false},
		{"10.0.0.1", "10.0.0.5", true},
		{"10.0.0.1", "127.0.0.1", false},
		{"127.0.0.1", "169.254.169.254", false},
	} {
		w := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "other.test" {
				io.WriteString(w, keyAuth)
				return
			}
			w.Header().Set("Location", "http://other.test/")
			w.WriteHeader(http.StatusFound)
		})
		client := w.client()
		client.Addresses = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(tt.other)}, nil
		}
		err := client.Ask(t.Context(), netip.MustParseAddr(tt.own), challenge)
		if tt.follows != (err == nil) || !tt.follows && (!errors.Is(err, netaddr.ErrRefused) || len(w.dialed) != 1) {
			t.Errorf("%s to %s: %v, dialed %v, want followed %v", tt.own, tt.other, err, w.dialed, tt.follows)
		}
	}
	w := newWeb(t, func(http.ResponseWriter, *http.Request) {})
	if err := w.client().Ask(t.Context(), netip.MustParseAddr("169.254.169.254"), challenge); !errors.Is(err, netaddr.ErrRefused) || len(w.dialed) > 0 {
		t.Errorf("link-local itself: %v, dialed %v", err, w.dialed)
	}
}
