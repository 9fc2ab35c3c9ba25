package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"keypaird/acme/acmetest"
	"keypaird/hooks/verify/testca"
)

// A world is what surrounds keypaird in one story. It begins empty: a story
// starts the CA, the DNS server and the proxy it is about. These are the same in
// every story:
//
//	example.org         192.0.2.1, somewhere else: only DNS can prove it
//	matrix.example.org  127.0.0.1, this machine, where http-01 can
//
// Its variables, which files and commands of a story may use:
//
//	HTTP       where keypaird listens for http-01: ":80" in a world of its own,
//	           with HTTP_PORT as its port
//	DNS        host:port of the DNS server, DNS_PORT its port
//	RESOLVERS  the line of a [dns] table that a world with other ports needs
//	HOST_SECRET  of the TSIG key that may change example.org, in host.key
//	CA         directory of the CA, CA_ROOTS a file to trust it by
//	PROXY      host:port of the proxy, PROXY_PORT its port, RELAYD a double of
//	           relayd(8), FRONT one of any server that reloads on SIGHUP
//	PAGE       host:port for [status], and TAKEN another one
//	TREE       the source tree
//	WORLD      head of a configuration: email, state, CA, http-01 port, [dns.ns]
//	DEPLOY     a [deploy.proxy] table for the proxy
type world struct {
	t          testscript.T
	own        bool // ports, mounts and processes are our own
	dir        string
	vars       map[string]string
	ns         *nameserver
	second     *acmetest.DNS // that lags behind ns
	cas        map[string]*authority
	seen       map[string]int // requests counted so far, by CA
	seller     *testca.CA     // of buy; nil until it is used
	otherCA    *testca.CA     // of othercert, likewise
	step       *stepCA        // nil until it is started
	signer     string         // name of the CA in head
	clockStart time.Time
	closers    []func()
}

func newWorld(t testscript.T, dir string) (*world, error) {
	w := &world{t: t, own: inside(), dir: dir, cas: map[string]*authority{}, seen: map[string]int{}, signer: "pebble"}
	w.vars = map[string]string{
		"HTTP": ":80", "DNS": "127.0.0.1:53", "RESOLVERS": "", "PROXY": "127.0.0.1:443", "PAGE": "127.0.0.1:8403", "TAKEN": "127.0.0.1:8499",
		"KEYPAIRD_CONFIG": filepath.Join(dir, "keypaird.toml"),
	}
	defer func() {
		_, w.vars["HTTP_PORT"], _ = net.SplitHostPort(w.vars["HTTP"])
		_, w.vars["DNS_PORT"], _ = net.SplitHostPort(w.vars["DNS"])
		_, w.vars["PROXY_PORT"], _ = net.SplitHostPort(w.vars["PROXY"])
		w.vars["RELAYD"], _ = exec.LookPath("relayd-double")
		w.vars["FRONT"], _ = exec.LookPath("front")
		w.vars["TREE"], _ = filepath.Abs("../..")
	}()
	if w.own {
		return w, nil
	}
	for _, name := range []string{"HTTP", "DNS", "PROXY", "PAGE", "TAKEN"} {
		port, err := acmetest.FreePort()
		if err != nil {
			return nil, err
		}
		w.vars[name] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	w.vars["RESOLVERS"] = fmt.Sprintf("resolvers = [%q]", w.vars["DNS"])
	return w, nil
}

// startWorld starts a world with a name server, for a test that is no story.
func startWorld(t *testing.T, dir string) *world {
	t.Helper()
	_, err := built("keypaird-dns")
	try(t, err, os.Chmod(dir, 0o755))
	w, err := newWorld(nil, dir)
	try(t, err)
	t.Cleanup(w.close)
	try(t, w.startDNS())
	return w
}

// later has f called when the story is over, last first.
func (w *world) later(f func()) { w.closers = append(w.closers, f) }

func (w *world) close() {
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
	w.closers = nil
}

func (w *world) file(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

// head is the top of a configuration that fits this world.
func (w *world) head() string {
	return fmt.Sprintf(`email     = "hostmaster@example.org"
state     = %q
sign_with = [%q]
[ca.%s]
directory = %q
roots     = %q
[http-01]
listen = %q
self_test = %v
[dns.ns]
provider = "rfc2136"
env = { RFC2136_NAMESERVER = %q, RFC2136_TSIG_FILE = %q, RFC2136_TTL = "1" }
%s
`, w.file("state"), w.signer, w.signer, w.vars["CA"], w.vars["CA_ROOTS"], w.vars["HTTP"], w.own, w.vars["DNS"], w.file("host.key"), w.vars["RESOLVERS"])
}

// An authority is a CA that keeps books.
type authority struct {
	*acmetest.CA
	end func()

	mu        sync.Mutex
	requests  int
	placed    int             // orders
	finalized map[string]bool // by path, as an order may be tried again
	before    map[string]func()
	after     map[string]func()
}

// startCA starts a CA and tells the story where it is. The default one is
// called CA.
func (w *world) startCA(name string, o acmetest.Options) (*authority, error) {
	a := &authority{finalized: map[string]bool{}, before: map[string]func(){}, after: map[string]func(){}}
	o.Dir = w.file(name)
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	o.DNS = cmp.Or(o.DNS, w.vars["DNS"])
	var err error
	if o.HTTPPort, err = strconv.Atoi(w.vars["HTTP_PORT"]); err != nil {
		return nil, err
	}
	if w.own {
		o.TLSPort = 443
	}
	fault := o.Wrap
	o.Wrap = func(next http.Handler) http.Handler {
		if fault != nil {
			next = fault(next)
		}
		return a.books(next)
	}
	if a.CA, err = acmetest.StartCA(o); err != nil {
		return nil, err
	}
	a.end = sync.OnceFunc(func() { a.Close() })
	w.later(a.end)
	w.cas[name] = a
	w.vars[name], w.vars[name+"_ROOTS"] = a.Directory, a.Roots
	var roots [][]byte
	for i := range 1 + o.AlternateRoots {
		roots = append(roots, a.RootPEM(i))
	}
	return a, w.trustRoots(roots...)
}

// addr is where it listens.
func (a *authority) addr() string {
	addr, _, _ := strings.Cut(strings.TrimPrefix(a.Directory, "https://"), "/")
	return addr
}

// trustRoots adds roots to trust.pem.
func (w *world) trustRoots(roots ...[]byte) error {
	f, err := os.OpenFile(w.file("trust.pem"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Join(roots, nil))
	return errors.Join(err, f.Close())
}

// books notes what the CA agreed to.
func (a *authority) books(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests++
		kind := kindOf(r.URL.Path)
		before, after := a.before[kind], a.after[kind]
		delete(a.before, kind)
		delete(a.after, kind)
		a.mu.Unlock()
		if before != nil {
			before()
		}
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(s, r)
		if after != nil {
			after()
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		switch {
		case kind == "order" && s.status == http.StatusCreated:
			a.placed++
		case kind == "finalize" && s.status == http.StatusOK:
			a.finalized[r.URL.Path] = true
		}
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// kinds of requests, as stories call them.
var kinds = map[string]string{
	"directory":   acmetest.PathDirectory,
	"nonce":       acmetest.PathNewNonce,
	"account":     acmetest.PathNewAccount,
	"order":       acmetest.PathNewOrder,
	"authz":       acmetest.PathAuthz,
	"challenge":   acmetest.PathChallenge,
	"finalize":    acmetest.PathFinalize,
	"poll":        acmetest.PathOrder,
	"certificate": acmetest.PathCertificate,
	"advice":      acmetest.PathRenewalInfo,
}

func kindOf(path string) string {
	for kind, prefix := range kinds {
		if strings.HasPrefix(path, prefix) {
			return kind
		}
	}
	return ""
}

// at has f called once: before the CA sees the next request of a kind, or when
// it has answered and the answer is not yet sent.
func (a *authority) at(kind string, answered bool, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.before)
	clear(a.after)
	if answered {
		a.after[kind] = f
	} else {
		a.before[kind] = f
	}
}

// orders is how many were placed, and for how many of them a certificate was
// asked for.
func (a *authority) orders() (placed, finalized int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.placed, len(a.finalized)
}

// forgetOrders counts them from here on.
func (a *authority) forgetOrders() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.placed = 0
	clear(a.finalized)
}

func (a *authority) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// fillDisk writes a file into dir until its disk is full.
func fillDisk(dir string) error {
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} { // to the last byte
		for block := bytes.Repeat([]byte{'x'}, size); err == nil; {
			_, err = f.Write(block)
		}
		err = nil
	}
	return nil
}
