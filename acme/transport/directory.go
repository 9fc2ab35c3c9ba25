package transport

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
)

// A directoryCache holds the last valid directory, so that not every session
// requests it.
type directoryCache struct {
	url string

	mu        sync.Mutex
	body      []byte
	at        time.Time
	hosts     []string          // that the directory names
	resources map[string]string // by URL
	newOrder  string            // URL
	renewal   string            // prefix of the URLs of renewal information; "" if there is none
}

// serves reports whether requests may go to u: to the directory's host, and to
// those the directory names, by https: what we sign is for no other.
func (d *directoryCache) serves(u *url.URL) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	own, err := url.Parse(d.url)
	return err == nil && u.Scheme == "https" && (hostPort(u) == hostPort(own) || slices.Contains(d.hosts, hostPort(u)))
}

// hostPort returns the host of an https URL, with its port, in one spelling.
func hostPort(u *url.URL) string {
	return net.JoinHostPort(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), cmp.Or(u.Port(), "443"))
}

// orders reports whether new orders are placed at a URL.
func (d *directoryCache) orders(at string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return at == d.newOrder
}

// resource returns the resource that the directory has at a URL.
func (d *directoryCache) resource(at string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.resources[at]; r != "" {
		return r
	}
	switch {
	case at == normal(d.url):
		return resourceDirectory
	case d.renewal != "" && strings.HasPrefix(at, d.renewal):
		return resourceRenewalInfo
	}
	return resourceOther
}

// DirectoryLife is how long a directory is used: an ACME library fetches it once.
const DirectoryLife = time.Hour

// response answers a request for a directory that is known, or returns nil.
func (d *directoryCache) response(req *http.Request) *http.Response {
	d.mu.Lock()
	defer d.mu.Unlock()
	if req.Method != http.MethodGet || req.URL.String() != d.url || d.body == nil || time.Since(d.at) > DirectoryLife {
		return nil
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(bytes.NewReader(d.body)), ContentLength: int64(len(d.body)),
	}
}

// keep remembers a valid answer to a request for the directory.
func (d *directoryCache) keep(req *http.Request, status int, body []byte) {
	var dir legoacme.Directory
	if req.Method != http.MethodGet || req.URL.String() != d.url || status != http.StatusOK ||
		json.Unmarshal(body, &dir) != nil || dir.NewAccountURL == "" || dir.NewOrderURL == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.body, d.at, d.hosts, d.resources = body, time.Now(), nil, map[string]string{}
	d.newOrder, d.renewal = normal(dir.NewOrderURL), ""
	if dir.RenewalInfo != "" {
		d.renewal = strings.TrimSuffix(normal(dir.RenewalInfo), "/") + "/"
	}
	for _, r := range []struct{ spelled, resource string }{
		{dir.NewNonceURL, resourceNonce}, {dir.NewAccountURL, ResourceAccount}, {dir.NewOrderURL, ResourceOrder},
		{dir.RevokeCertURL, resourceRevoke}, {dir.KeyChangeURL, resourceOther}, {dir.RenewalInfo, resourceRenewalInfo},
	} {
		if u, err := url.Parse(r.spelled); err == nil && u.Host != "" {
			d.hosts = append(d.hosts, hostPort(u))
			d.resources[u.String()] = r.resource
		}
	}
}
