package transport

import (
	"errors"
	"net/http"
	"net/url"
)

// ErrProxy is the error of requests that cannot be sent because of HTTPS_PROXY. It
// does not repeat the value, which may have a password.
var ErrProxy = errors.New("HTTPS_PROXY is not the URL of a proxy")

// readProxy returns environment with errors of its own.
func readProxy(environment func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		proxy, err := environment(req)
		if err != nil {
			return nil, ErrProxy
		}
		return proxy, nil
	}
}

// ProxyOf returns the host of the proxy through which a URL is requested; "" if there
// is none.
func ProxyOf(spelled string) string {
	req, err := http.NewRequest(http.MethodGet, spelled, nil)
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}
