package front

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }

// peers is a listener whose peers are the other ends of pipes.
type peers struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPeers() *peers { return &peers{make(chan net.Conn), make(chan struct{})} }

func (l *peers) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *peers) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (l *peers) Addr() net.Addr { return &net.TCPAddr{} }

// connect makes a connection from an address.
func (l *peers) connect(from string) net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- addressed{ours, &net.TCPAddr{IP: net.ParseIP(from), Port: 1024}}
	return theirs
}

type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

// open reports whether a connection is.
func open(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return err != io.EOF
}

// get reports whether a request is answered.
func get(c net.Conn) bool {
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(resp.Body)
	return err == nil && string(body) == "yes" && resp.Close
}

// serve returns where a server listens, and what closes it.
func serve(h http.HandlerFunc) (*peers, func()) {
	l := newPeers()
	server := Serve([]net.Listener{l}, h)
	return l, func() {
		server.Close()
		time.Sleep(time.Second) // net/http waits before it closes after an error
	}
}

func yes(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "yes") }

// A peer that is silent or slow is cut.
func TestSlowPeersAreCut(t *testing.T) {
	for _, tt := range []struct {
		name   string
		within time.Duration
		peer   func(c net.Conn) // does what it does until the connection ends
	}{
		{"says nothing", requestTimeout, func(c net.Conn) { io.Copy(io.Discard, c) }},
		{"a byte a second", requestTimeout, func(c net.Conn) {
			go io.Copy(io.Discard, c)
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: a.test\r\n" + strings.Repeat("X: y\r\n", 100)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}},
		{"never ends its headers", requestTimeout, func(c net.Conn) {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n")
			io.Copy(io.Discard, c)
		}},
		{"never reads the answer", answerTimeout, func(c net.Conn) {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
			time.Sleep(answerTimeout + time.Second/2)
			if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				time.Sleep(time.Hour)
			}
		}},
		{"never ends its body", requestTimeout, func(c net.Conn) {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n")
			io.Copy(io.Discard, c)
		}},
		{"asks no more", requestTimeout, func(c net.Conn) {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
			io.Copy(io.Discard, c)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, end := serve(yes)
				defer end()
				c := l.connect("192.0.2.1")
				defer c.Close()
				began := time.Now()
				tt.peer(c)
				if took := time.Since(began); took > tt.within+time.Second {
					t.Errorf("cut after %v", took)
				}
			})
		})
	}
}

// An answer does not wait for the body of its request.
func TestBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := serve(yes)
		defer end()
		c := l.connect("192.0.2.1")
		defer c.Close()
		began := time.Now()
		go io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusOK || time.Since(began) > 0 {
			t.Errorf("%v, %v after %v", resp, err, time.Since(began))
		}
	})
}

// Silent connections from many networks, from one, and from a proxy: each time an honest
// client is answered, and the oldest connections have gone.
func TestFullOfSilence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		from   func(i int) string
		honest string
		stay   int
	}{
		{"from everywhere", func(i int) string { return fmt.Sprintf("192.0.%d.%d", i/200, i%200) }, "198.51.100.1", most - 1},
		{"from one address", func(int) string { return "192.0.2.1" }, "198.51.100.1", each},
		{"from one address, as the honest one", func(int) string { return "192.0.2.1" }, "192.0.2.1", each - 1},
		{"from one network", func(i int) string { return fmt.Sprintf("2001:db8::%x:%x", i, i) }, "2001:db8:0:1::1", each},
		{"from one address, mapped", func(int) string { return "::ffff:192.0.2.1" }, "2001:db8:0:1::1", each},
		{"through a proxy", func(int) string { return "127.0.0.1" }, "127.0.0.1", most - 1},
		{"through a proxy on IPv6", func(int) string { return "::1" }, "::1", most - 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, end := serve(yes)
				defer end()
				var silent []net.Conn
				for i := range 2 * most {
					silent = append(silent, l.connect(tt.from(i)))
				}
				c := l.connect(tt.honest)
				if !get(c) {
					t.Error("an honest client is kept out")
				}
				c.Close()
				stay := 0
				for i, c := range silent {
					if open(c) {
						if stay++; i < most {
							t.Errorf("connection %d stays", i)
						}
					}
					c.Close()
				}
				if stay != tt.stay {
					t.Errorf("%d silent connections stay, want %d", stay, tt.stay)
				}
			})
		})
	}
}

// Clients that ask and do not read keep out neither those who ask nor each other.
func TestFullOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := serve(yes)
		defer end()
		var deaf []net.Conn
		for i := range 3 * most {
			c := l.connect(fmt.Sprintf("192.0.%d.%d", i/200, i%200))
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
			deaf = append(deaf, c)
		}
		synctest.Wait()
		for range 3 {
			c := l.connect("198.51.100.1")
			if !get(c) {
				t.Error("an honest client is kept out")
			}
			c.Close()
		}
		for _, c := range deaf {
			c.Close()
		}
	})
}

// Two requests are two connections.
func TestOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := serve(yes)
		defer end()
		c := l.connect("192.0.2.1")
		defer c.Close()
		go io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 100))
		text, _ := io.ReadAll(c)
		if n := strings.Count(string(text), "200 OK"); n != 1 {
			t.Errorf("%d answers", n)
		}
	})
}

// Headers larger than any client needs are refused.
func TestLargeHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := serve(yes)
		defer end()
		c := l.connect("192.0.2.1")
		defer c.Close()
		go fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: %0100000d\r\n\r\n", 0)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v, %v", resp, err)
		}
	})
}
