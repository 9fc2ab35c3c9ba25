package acme

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What we sign goes to the CA and nowhere else, whatever URL it hands out.
func TestRequestsStayAtTheCA(t *testing.T) {
	d := &directoryCache{url: "https://ca.example/dir"}
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
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.serves(u); got != tt.want {
			t.Errorf("serves(%s) = %v, want %v", tt.url, got, tt.want)
		}
	}
	asked := false
	g := &transport{directory: d, watch: new(watch), base: roundTripper(func(*http.Request) { asked = true })}
	g.attach(t.Context())
	_, err := g.RoundTrip(httptest.NewRequest(http.MethodPost, "https://192.168.1.1/admin", nil))
	if err == nil || !strings.Contains(err.Error(), "192.168.1.1") || asked {
		t.Errorf("RoundTrip to another host: %v, asked %v; want a refusal that names it", err, asked)
	}
}

type roundTripper func(*http.Request)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return nil, http.ErrServerClosed
}
