package years

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/testutil"
)

// A front is a server that ends TLS, which reads its pairs when it was reloaded and
// keeps what it has if one of them cannot be used. It lives outside of the bubbles of
// simulated time, as time stands still in one that waits for a connection.
type front struct {
	dir  string // of NAME.crt, NAME.key, and the file reloads that each reload makes longer
	addr string

	mu      sync.Mutex
	names   []string // targets, NAME for NAME.test
	loaded  int64    // length of reloads then
	serves  map[string]*tls.Certificate
	other   tls.Certificate // for names that it does not know
	stuck   bool            // it ignores reloads
	unknown string          // it does not know this name
	ln      net.Listener    // nil: it is down

	orders, done chan func()
}

func newFront(t *testing.T, names []string) *front {
	t.Helper()
	f := &front{dir: testutil.Memory(t), names: names, serves: map[string]*tls.Certificate{}, orders: make(chan func()), done: make(chan func())}
	pair, err := pairtest.Issue([]string{"other.test"}, time.Now(), day)
	testutil.Must(t, err)
	f.other, err = tls.X509KeyPair(pair.FullChain(), pair.Key())
	testutil.Must(t, err)
	f.addr = "127.0.0.1:0"
	f.up()
	f.addr = f.ln.Addr().String()
	go func() {
		for do := range f.orders {
			do()
			f.done <- nil
		}
	}()
	t.Cleanup(func() {
		close(f.orders)
		f.down()
	})
	return f
}

// outside has something done outside of the bubble of the caller.
func (f *front) outside(do func()) {
	f.orders <- do
	<-f.done
}

func (f *front) down() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ln != nil {
		f.ln.Close()
		f.ln = nil
	}
}

// up starts to listen, with the pairs of now.
func (f *front) up() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ln != nil {
		return
	}
	ln, err := net.Listen("tcp", f.addr)
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); ln, err = net.Listen("tcp", f.addr) {
		time.Sleep(10 * time.Millisecond) // somebody has a connection from there
	}
	if err != nil {
		panic(err)
	}
	f.ln = ln
	go func() {
		config := &tls.Config{GetCertificate: f.certificate}
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				tls.Server(conn, config).Handshake()
				conn.Close()
			}()
		}
	}()
}

func (f *front) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	if c := f.serves[hello.ServerName]; c != nil && hello.ServerName != f.unknown {
		return c, nil
	}
	return &f.other, nil
}

// served returns what it presents of a target; nil: nothing.
func (f *front) served(name string) *x509.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	if c := f.serves[name+".test"]; c != nil {
		return c.Leaf
	}
	return nil
}

// reloads is the file that a reload makes longer.
func (f *front) reloads() string { return filepath.Join(f.dir, "reloads") }

// look reads the pairs if it was reloaded since.
func (f *front) look() {
	info, err := os.Stat(f.reloads())
	if err != nil || info.Size() == f.loaded {
		return
	}
	f.loaded = info.Size()
	if f.stuck {
		return
	}
	all := map[string]*tls.Certificate{}
	for _, name := range f.names {
		file := filepath.Join(f.dir, name)
		c, err := tls.LoadX509KeyPair(file+".crt", file+".key")
		if _, gone := os.Stat(file + ".crt"); os.IsNotExist(gone) && f.serves[name+".test"] == nil {
			continue // not deployed yet
		}
		if err != nil {
			return
		}
		all[name+".test"] = &c
	}
	f.serves = all
}
