package http01

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/renew/netaddr"
	"keypaird/renew/sockets"
	"keypaird/renew/textfmt"
)

const (
	timeout      = 10 * time.Second // as CAs have it
	maxRedirects = 10
	maxBody      = 512
)

// A Client requests tokens as CAs do: it follows redirects to ports 80 and 443 of any
// host, and checks no certificate on the way.
type Client struct {
	Addresses func(ctx context.Context, host string) ([]netip.Addr, error) // of other hosts that redirects lead to

	dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: as sockets.Dial does
}

// Ask returns nil if the response to c is served at one address of its name.
func (k Client) Ask(ctx context.Context, addr netip.Addr, c acme.Challenge) error {
	dial := k.dial
	if dial == nil {
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return sockets.Dial(ctx, net.Dialer{}, network, addr)
		}
	}
	pinned := func(ctx context.Context, network, at string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(at)
		addrs, limit := []netip.Addr{addr}, netaddr.Loopback
		if err == nil && host != c.Identifier {
			limit = netaddr.Of(addr) // a redirect leads to no more private address
			if addrs, err = k.Addresses(ctx, host); err != nil {
				err = &net.OpError{Op: "dial", Net: network, Err: err}
			}
		}
		if err != nil {
			return nil, err
		}
		var conn net.Conn
		for _, a := range addrs {
			if err = limit.Check(a); err != nil {
				err = &net.OpError{Op: "dial", Net: network, Err: err}
				continue
			}
			if conn, err = dial(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
				return conn, nil
			}
		}
		return nil, err
	}
	follow := func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if !slices.Contains([]string{"", "80", "443"}, next.URL.Port()) || next.URL.Scheme != "http" && next.URL.Scheme != "https" {
			return errors.New("CAs follow redirects to http and https on the ports 80 and 443 only")
		}
		return nil
	}
	return ask(ctx, &http.Client{Transport: transport(pinned), CheckRedirect: follow}, bracketed(c.Identifier), c)
}

// answer returns nil if the response to c is served at addr itself.
func answer(ctx context.Context, addr string, c acme.Challenge) error {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return sockets.Dial(ctx, net.Dialer{}, network, addr)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return ask(ctx, &http.Client{Transport: transport(dial), CheckRedirect: stay}, bracketed(c.Identifier), c)
}

// transport uses no proxy, as CAs use none.
func transport(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, DialContext: dial,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // as CAs do: the token is compared
	}
}

func ask(ctx context.Context, client *http.Client, host string, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+Path+c.Token, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return redirected(failed.Err, req.URL.String(), failed.URL)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	got := strings.TrimRight(string(body), " \t\r\n")
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("http status %s", textfmt.OneLine(resp.Status, 64))
	case got != c.KeyAuth:
		err = fmt.Errorf("the response is not our token but %q", textfmt.OneLine(got, 64))
	}
	return redirected(err, req.URL.String(), resp.Request.URL.String())
}

// redirected adds where a redirect led.
func redirected(err error, from, to string) error {
	if err == nil || from == to {
		return err
	}
	return fmt.Errorf("redirected to %s: %w", textfmt.OneLine(to, 200), err)
}

// bracketed returns a host as it stands in a URL.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]" // an IPv6 address
	}
	return host
}
