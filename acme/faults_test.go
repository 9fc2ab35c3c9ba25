package acme_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"keypaird/acme/acmetest"
)

// A fault is what a request may meet on its way.
type fault struct {
	name   string
	fault  acmetest.Fault
	alike  bool // in what it does to any request: it is tried with two
	forged bool // a certificate that is one, but not what was ordered: it cannot be used
}

const html = "<!DOCTYPE html>\n<html><title>Log in to the guest network\x1b[2J</title></html>"

// faults lists faults of networks, proxies, load balancers and overloaded servers.
func faults() []fault {
	all := []fault{
		{"silence", acmetest.Answer(acmetest.Stall()), false, false},
		{"reset", acmetest.Answer(acmetest.Reset()), false, false},
		{"reset once it is done", acmetest.Lost(), false, false},
		{"cut off", acmetest.Truncate(), false, false},
		{"cut off without a sign", acmetest.Halve(), false, false},
		{"byte by byte", acmetest.Dribble(20 * time.Millisecond), true, false},
		{"body without end", acmetest.Endless(200), false, false},
		{"error without end", acmetest.Endless(500), true, false},
		{"bomb", acmetest.Bomb(64 << 20), true, false},
		{"no gzip", acmetest.Headers("Content-Encoding: gzip"), true, false},
		{"no http", acmetest.Raw("220 mail.example ESMTP\r\n", ""), false, false},
		{"nothing at all", acmetest.Raw("", ""), true, false},
		{"headers without end", acmetest.Raw("HTTP/1.1 200 OK\r\n", "X-Filler: abcdefgh\r\n"), false, false},
		{"one header without end", acmetest.Raw("HTTP/1.1 200 OK\r\nX: ", "abcdefgh"), true, false},
		{"early hints without end", acmetest.Raw("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), true, false},
		{"bad chunks", acmetest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""), true, false},
		{"a chunk of exabytes", acmetest.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n{", ""), true, false},
		{"two lengths", acmetest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", ""), true, false},
		{"a length of exabytes", acmetest.Raw("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n{}", ""), true, false},
		{"a status of nothing", acmetest.Raw("HTTP/1.1 000 \r\nContent-Length: 0\r\n\r\n", ""), false, false},
		{"switching protocols", acmetest.Raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "x"), true, false},
		{"elsewhere", acmetest.Say(302, "", "Location: https://evil.example/"), false, false},
		{"round and round", acmetest.Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusPermanentRedirect)
		})), true, false},
		{"unchanged", acmetest.Say(304, ""), true, false},
		{"no nonce", acmetest.Headers("Replay-Nonce:"), false, false},
		{"a nonce that is none", acmetest.Headers("Replay-Nonce: \xff\" ../;"), true, false},
		{"nonces that are used up", acmetest.Say(400, `{"type":"urn:ietf:params:acme:error:badNonce"}`, "Replay-Nonce: AAAA"), false, false},
		{"no location", acmetest.Headers("Location:"), false, false},
		{"a location that is none", acmetest.Headers("Location: %%%"), false, false},
		{"a date long ago", acmetest.Headers("Date: Thu, 01 Jan 1970 00:00:00 GMT"), true, false},
		{"a date far off", acmetest.Headers("Date: Fri, 31 Dec 9999 23:59:59 GMT"), true, false},
		{"links to nowhere", acmetest.Headers(`Link: <:>;rel="alternate"`, `Link: <`+strings.Repeat("a", 4000)+`>;rel="alternate"`), false, false},
		{"another certificate", acmetest.Rewrite(func(body []byte) []byte {
			if !bytes.HasPrefix(body, []byte("-----BEGIN")) {
				return []byte("{}")
			}
			return forge(body, forgery{})
		}), false, true},
	}
	return append(append(all, refusals()...), bodies()...)
}

// refusals lists error answers, most of them of a proxy.
func refusals() []fault {
	var all []fault
	for name, text := range map[string]string{
		"null": "null", "html": html, "nothing": "", "a list": "[]", "a number": "7", "half": `{"type":"urn:ietf:params:a`,
		"odd members": `{"type":7,"detail":["x"],"status":"500","instance":{},"subproblems":{"a":[]}}`,
		"subproblems": `{"type":"urn:ietf:params:acme:error:serverInternal","subproblems":[` + strings.Repeat(`null,`, 5000) + `null]}`,
		"a deep one":  strings.Repeat(`{"a":`, 20000),
		"escapes":     `{"type":"x\u001b[2J\n","detail":"\u0000\u202e\r\n"}`,
	} {
		all = append(all, fault{"500 with " + name, acmetest.Say(500, text), name != "html", false})
	}
	for _, after := range []string{"120", "0", "-1", "1.5", "soon", "", "99999999999999999999", "2147483647", " 3600 ",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Monday, 02-Jan-40 15:04:05 GMT", "Mon Jan  2 15:04:05 2040", "2040-01-02T15:04:05Z",
	} {
		all = append(all, fault{"503, try again after " + after, acmetest.Say(503, html, "Retry-After: "+after), after != "120", false})
	}
	return append(all,
		fault{"503, try again after two times", acmetest.Say(503, "", "Retry-After: 120", "Retry-After: 7200"), true, false},
		fault{"429", acmetest.Say(429, "slow down", "Retry-After: 3600"), false, false},
		fault{"403 of a proxy", acmetest.Say(403, html), false, false},
		fault{"407", acmetest.Say(407, html), true, false},
		fault{"502", acmetest.Say(502, ""), true, false},
		fault{"599", acmetest.Say(599, html), true, false},
		fault{"999", acmetest.Say(999, html), true, false},
	)
}

// bodies come with a good status.
func bodies() []fault {
	var all []fault
	for name, text := range map[string]string{
		"null": "null", "html": html, "nothing": "", "an empty object": "{}", "a list": "[]", "true": "true", "two objects": "{}{}",
		"numbers":        `{"status":1,"identifiers":2,"authorizations":3,"finalize":4,"challenges":5,"newNonce":6,"newAccount":7}`,
		"nulls":          `{"status":null,"identifiers":null,"authorizations":null,"challenges":[null],"newNonce":null}`,
		"a deep object":  strings.Repeat(`{"a":`, 20000) + strings.Repeat("}", 20000),
		"a byte mark":    "\ufeff{}",
		"a certificate?": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
	} {
		all = append(all, fault{"200 with " + name, acmetest.Say(200, text), false, name == "a certificate?"})
	}
	return append(all, fault{"204", acmetest.Say(204, ""), false, false})
}

// A wire is what may answer where the CA should.
type wire struct {
	name     string
	identity acmetest.Identity
	wire     func(net.Conn)
}

func wires() []wire {
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) { io.WriteString(c, text) }
	}
	all := []wire{
		{"hangs up", "", func(net.Conn) {}},
		{"says nothing", "", func(c net.Conn) { io.Copy(io.Discard, c) }},
		{"plain http", "", say("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n" + html)},
		{"another protocol", "", say("SSH-2.0-OpenSSH_9.9\r\n")},
		{"garbage without end", "", func(c net.Conn) {
			for {
				if _, err := c.Write(bytes.Repeat([]byte{0x16, 0x03, 0x03, 0xff, 0xff}, 1000)); err != nil {
					return
				}
			}
		}},
		{"half a handshake", "", say("\x16\x03\x03\x00\x7a\x02\x00")},
		{"resets", "", func(c net.Conn) {
			if t, ok := c.(*net.TCPConn); ok {
				t.SetLinger(0)
			}
		}},
	}
	for _, id := range []acmetest.Identity{
		acmetest.Stranger, acmetest.OtherName, acmetest.Expired, acmetest.Early, acmetest.ForClient, acmetest.Cut,
	} {
		all = append(all, wire{string(id), id, nil})
	}
	return all
}
