package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
)

const nsTLS = "urn:ietf:params:xml:ns:xmpp-tls"

// ErrHostUnknown reports an XMPP server that does not host the requested domain
// (RFC 6120, sections 4.9.3.5 and 4.9.3.6).
var ErrHostUnknown = errors.New("the server does not host this domain (host-unknown)")

// xmppClient: RFC 6120, section 5.4, as a client.
func xmppClient(c *chat, name string) error {
	return c.xmpp(name, "xmlns='jabber:client'")
}

// xmppServer: RFC 6120, section 5.4, as a server.
func xmppServer(c *chat, name string) error {
	return c.xmpp(name, "xmlns='jabber:server' xmlns:db='jabber:server:dialback'")
}

// xmpp opens a stream to name and requests TLS.
func (c *chat) xmpp(name, xmlns string) error {
	to, err := xmppDomain(name)
	if err != nil {
		return err
	}
	err = c.send("<?xml version='1.0'?><stream:stream " + xmlns +
		" xmlns:stream='http://etherx.jabber.org/streams' to='" + to + "' version='1.0'>")
	if err != nil {
		return err
	}
	features, err := c.until("</stream:features>", "<stream:features/>", "</stream:error>", "</stream:stream>")
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	if i := strings.Index(features, "<stream:error"); i >= 0 {
		if strings.Contains(features[i:], "<host-unknown") || strings.Contains(features[i:], "<host-gone") {
			return fmt.Errorf("stream to %s: %w", to, ErrHostUnknown)
		}
		return refusedStream("stream to "+to, features[i:])
	}
	if !strings.Contains(features, nsTLS) {
		return ErrNoTLS
	}
	if err := c.send("<starttls xmlns='" + nsTLS + "'/>"); err != nil {
		return err
	}
	answer, err := c.until(">")
	if err != nil {
		return fmt.Errorf("starttls: %w", err)
	}
	if !isProceed(answer) {
		if strings.HasPrefix(answer, "<failure") {
			return errors.New("starttls: the server answers failure")
		}
		return refused("starttls", answer)
	}
	if !strings.HasSuffix(answer, "/>") { // <proceed ...></proceed>
		end, err := c.until(">")
		if err != nil {
			return fmt.Errorf("starttls: %w", err)
		}
		if end != "</proceed>" {
			return refused("starttls", answer+end)
		}
	}
	return nil
}

// streamErrors are stream errors (RFC 6120, section 4.9): a condition, and perhaps a text.
// The expression takes long to compile, and every process of keypaird would wait for it.
var streamErrors = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^<stream:error[^>]*>\s*<([a-z][a-z-]{0,60})[^>]*>(?:.*<text[^>]*>([^<]{1,200}))?`)
})

// refusedStream is refused for a stream error, of which it has the condition and the text.
func refusedStream(to, answer string) error {
	m := streamErrors().FindStringSubmatch(answer)
	switch {
	case m == nil:
		return refused(to, answer)
	case m[2] == "":
		return fmt.Errorf("%s: the server answers %s", to, m[1])
	}
	return fmt.Errorf("%s: the server answers %s: %q", to, m[1], m[2])
}

// isProceed reports whether tag is the go-ahead (RFC 6120, section 5.4.2.3).
func isProceed(tag string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(tag, " \t\r\n"), "<proceed")
	return ok && strings.TrimLeft(rest, " \t\r\n") != rest &&
		(strings.Contains(rest, "'"+nsTLS+"'") || strings.Contains(rest, `"`+nsTLS+`"`))
}

// until reads up to the first of ends, which is included.
func (c *chat) until(ends ...string) (string, error) {
	var b strings.Builder
	for {
		ch, err := c.r.ReadByte()
		if err != nil {
			return "", hungUp(err)
		}
		b.WriteByte(ch)
		for _, end := range ends {
			if ch == end[len(end)-1] && strings.HasSuffix(b.String(), end) {
				return b.String(), nil
			}
		}
	}
}

// xmppDomain returns name as the domain part of an address (RFC 7622, section 3.2).
func xmppDomain(name string) (string, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		if ip.Is6() {
			return "[" + ip.WithZone("").String() + "]", nil
		}
		return name, nil
	}
	if strings.ContainsAny(name, "<>&'\"\r\n\t /") {
		return "", fmt.Errorf("%q is not a domain", name)
	}
	return name, nil
}
