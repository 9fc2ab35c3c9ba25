package transport

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Signed requests go to hosts of the CA only, even if it hands out other URLs.
func TestRequestsStayAtTheCA(t *testing.T) {
	s := NewServer(Options{Directory: "https://ca.example/dir"})
	d := &s.directory
	req := httptest.NewRequest(http.MethodGet, d.url, nil)
	d.keep(req, http.StatusOK, []byte(`{"newNonce":"https://ca.example/n","newAccount":"https://ca.example/a","newOrder":"https://orders.example:8443/o"}`))
	for _, tt := range []struct {
		url  string
		want bool
	}{
		{"https://ca.example/authz/1", true},
		{"https://orders.example:8443/order/1", true},
		{"https://orders.example/order/1", false},
		{"https://192.168.1.1/admin/delete?x=1", false},
		{"http://ca.example/authz/1", false},
	} {
		if got := s.Serves(tt.url); got != tt.want {
			t.Errorf("Serves(%s) = %v, want %v", tt.url, got, tt.want)
		}
	}
	asked := false
	tr := s.Transport(t.Context())
	tr.base = roundTripper(func(*http.Request) { asked = true })
	_, err := tr.RoundTrip(httptest.NewRequest(http.MethodPost, "https://192.168.1.1/admin", nil))
	if err == nil || !strings.Contains(err.Error(), "192.168.1.1") || asked {
		t.Errorf("RoundTrip to another host: %v, asked %v; want a refusal that names it", err, asked)
	}
}

type roundTripper func(*http.Request)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return nil, http.ErrServerClosed
}
