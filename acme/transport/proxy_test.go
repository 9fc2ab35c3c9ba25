package transport

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A value of HTTPS_PROXY that cannot be read is not repeated: it may have a password.
func TestProxyThatCannotBeRead(t *testing.T) {
	_, err := readProxy(func(*http.Request) (*url.URL, error) { return nil, errors.New("user:secret@proxy:x") })(nil)
	if !errors.Is(err, ErrProxy) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error = %v", err)
	}
	want := &url.URL{Host: "proxy.example:3128"}
	if got, err := readProxy(func(*http.Request) (*url.URL, error) { return want, nil })(nil); err != nil || got != want {
		t.Errorf("proxy %v, %v", got, err)
	}
	s := NewServer(Options{Directory: "https://ca.example/dir"})
	s.HTTP.Proxy = readProxy(func(*http.Request) (*url.URL, error) { return nil, errors.New("user:secret@proxy:x") })
	if _, err := s.Transport(t.Context()).Client().Get("https://ca.example/dir"); !errors.Is(err, ErrProxy) {
		t.Errorf("error = %v, want ErrProxy", err)
	}
}
