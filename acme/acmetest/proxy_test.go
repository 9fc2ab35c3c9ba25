package acmetest_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/acme/acmetest"
)

// behind is a proxy before a CA, and a client of it.
func behind(t *testing.T) (*acmetest.Proxy, *http.Client) {
	t.Helper()
	ca, err := acmetest.StartCA(acmetest.Options{NonceReject: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	p, err := acmetest.StartProxy(ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	pool, err := acmetest.Pool(ca.Roots)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return p, &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// fetch returns an answer with its body, or as much as came of it.
func fetch(c *http.Client, url string) (*http.Response, string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, string(body), err
}

func TestProxy(t *testing.T) {
	p, c := behind(t)
	_, whole, err := fetch(c, p.Directory)
	if err != nil || !strings.Contains(whole, strings.TrimSuffix(p.Directory, acmetest.PathDirectory)+acmetest.PathNewOrder) {
		t.Fatalf("directory = %q, %v; want URLs of the proxy", whole, err)
	}
	for _, tt := range []struct {
		name  string
		fault acmetest.Fault
		check func(r *http.Response, body string, err error) bool
	}{
		{"said", acmetest.Say(418, "tea", "X-Pot: 1", "X-Pot: 2", "Date:"), func(r *http.Response, body string, err error) bool {
			return err == nil && r.StatusCode == 418 && body == "tea" && len(r.Header["X-Pot"]) == 2 && r.Header["Date"] == nil
		}},
		{"elsewhere", acmetest.At(acmetest.PathNewOrder, acmetest.Say(418, "tea")), func(r *http.Response, body string, err error) bool {
			return err == nil && r.StatusCode == 200 && len(body) == len(whole)
		}},
		{"headers", acmetest.Headers("Content-Type:", "X-New: 1"), func(r *http.Response, body string, err error) bool {
			return err == nil && !strings.Contains(r.Header.Get("Content-Type"), "json") && r.Header.Get("X-New") == "1" && len(body) == len(whole)
		}},
		{"rewritten", acmetest.Rewrite(bytes.ToUpper), func(_ *http.Response, body string, err error) bool {
			return err == nil && len(body) == len(whole) && body == strings.ToUpper(body)
		}},
		{"lost", acmetest.Lost(), func(_ *http.Response, _ string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{"truncated", acmetest.Truncate(), func(r *http.Response, body string, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && r.StatusCode == 200 && len(body) < len(whole)
		}},
		{"halved", acmetest.Halve(), func(_ *http.Response, body string, err error) bool {
			return err == nil && len(body) == len(whole)/2
		}},
		{"dribbled", acmetest.Dribble(time.Microsecond), func(_ *http.Response, body string, err error) bool {
			return err == nil && len(body) == len(whole)
		}},
		{"endless", acmetest.Endless(500), func(r *http.Response, body string, err error) bool {
			return err == nil && r.StatusCode == 500 && len(body) == 1<<20
		}},
		{"bomb", acmetest.Bomb(1 << 30), func(r *http.Response, body string, err error) bool {
			return err == nil && r.Uncompressed && len(body) == 1<<20
		}},
		{"raw", acmetest.Raw("HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok", ""), func(r *http.Response, body string, err error) bool {
			return err == nil && r.Status == "200 Fine" && body == "ok"
		}},
		{"healed", nil, func(r *http.Response, body string, err error) bool {
			return err == nil && r.StatusCode == 200 && len(body) == len(whole)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.Set(tt.fault)
			if r, body, err := fetch(c, p.Directory); !tt.check(r, body, err) {
				t.Errorf("answer: %v, %.100q, %v", r, body, err)
			}
		})
	}
}

func TestProxyIdentities(t *testing.T) {
	p, c := behind(t)
	for _, id := range []acmetest.Identity{
		acmetest.Stranger, acmetest.OtherName, acmetest.Expired, acmetest.Early, acmetest.ForClient, acmetest.Cut, acmetest.Genuine,
	} {
		if err := p.Present(id); err != nil {
			t.Fatal(err)
		}
		_, _, err := fetch(c, p.Directory)
		var untrusted *tls.CertificateVerificationError
		var hostname x509.HostnameError
		if id == acmetest.Genuine && err != nil || id != acmetest.Genuine && !errors.As(err, &untrusted) {
			t.Errorf("%q: %v", id, err)
		}
		if errors.As(err, &hostname) != (id == acmetest.OtherName) {
			t.Errorf("%q: %v", id, err)
		}
	}
	p.Wire(func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	if _, _, err := fetch(c, p.Directory); err == nil || !strings.Contains(err.Error(), "server gave HTTP response") {
		t.Errorf("over a plain connection: %v", err)
	}
	p.Wire(nil)
	if _, _, err := fetch(c, p.Directory); err != nil {
		t.Error(err)
	}
}

// Present ends idle connections, or nobody would look at the certificate.
func TestProxyDropsConnections(t *testing.T) {
	p, c := behind(t)
	for i := range 2 {
		reused := false
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
		}), http.MethodGet, p.Directory, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if reused {
			t.Errorf("request %d went over an old connection", i)
		}
		if err := p.Present(acmetest.Genuine); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is closed may be closed again.
func TestCloseTwice(t *testing.T) {
	ca, err := acmetest.StartCA(acmetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := acmetest.StartProxy(ca)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := acmetest.StartTokens(ca.HTTPPort)
	if err != nil {
		t.Fatal(err)
	}
	front, err := acmetest.StartFront("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dns, err := acmetest.StartDNS(acmetest.DNSOptions{Zones: []string{"test"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []io.Closer{proxy, ca, tokens, front, dns} {
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("%T: %v", c, err)
			}
		}
	}
}
