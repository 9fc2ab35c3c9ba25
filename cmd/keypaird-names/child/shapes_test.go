package child

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/discover"
)

// A shape is one delegation of testdata/shapes.txt.
type shape struct {
	name   string
	signed bool
	blocks map[string][]string // lines by the block they are in
}

func readShapes(t *testing.T) (list []shape) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "shapes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		name, isName := strings.CutPrefix(line, "=== ")
		args, isArgs := strings.CutPrefix(line, "args: ")
		switch {
		case isName:
			list, block = append(list, shape{name: name, blocks: map[string][]string{}}), ""
		case len(list) == 0 || line == "" || strings.HasPrefix(line, "#"):
		case isArgs:
			list[len(list)-1].blocks["args"] = strings.Fields(args)
		case line == "signed":
			list[len(list)-1].signed = true
		case slices.Contains([]string{"zone:", "web:", "want:", "left:", "wrong:"}, line):
			block = strings.TrimSuffix(line, ":")
		default:
			list[len(list)-1].blocks[block] = append(list[len(list)-1].blocks[block], line)
		}
	}
	return list
}

// The tables suggested for each shape are those of an expert, and a configuration.
func TestShapes(t *testing.T) {
	for _, s := range readShapes(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var services, components []string
			for i, arg := range s.blocks["args"] {
				switch arg {
				case "-service":
					services = append(services, s.blocks["args"][i+1])
				case "-component":
					components = append(components, s.blocks["args"][i+1])
				}
			}
			d := s.discoverer(t)
			a, err := d.Discover(t.Context(), "example.org", services, components)
			if err != nil {
				t.Fatal(err)
			}
			doc := document(d, a)
			got, servers, _ := strings.Cut(uncommented(doc.Config), "[deploy.")
			if n := strings.Count(servers, "verify = [\""); strings.TrimSpace(got) != "" && strings.Contains(got, "deploy =") && n != strings.Count(servers, "[deploy.")+1 {
				t.Errorf("%d servers have endpoints in\n%s", n, doc.Config)
			}
			if got, want := strings.TrimSpace(got), strings.Join(s.blocks["want"], "\n"); got != want {
				t.Errorf("tables:\n%s\nwant:\n%s", got, want)
			}
			loads(t, doc.Config)
			for _, want := range s.blocks["left"] {
				parts := strings.Split(want, " | ")
				if !slices.ContainsFunc(doc.LeftOut, func(text string) bool {
					return strings.HasPrefix(text, parts[0]) && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
				}) {
					t.Errorf("nothing says %q in\n%s", want, strings.Join(doc.LeftOut, "\n"))
				}
			}
			if len(s.blocks["left"]) == 0 && len(doc.LeftOut) > 0 {
				t.Errorf("left out: %q", doc.LeftOut)
			}
			s.checkErrors(t, doc.Problems)
			if err := doc.Err(); (err != nil) != (len(s.blocks["wrong"]) > 0) {
				t.Errorf("exit status: %v", err)
			}
		})
	}
}

func (s shape) checkErrors(t *testing.T, problems []discover.Problem) {
	var got []string
	for _, p := range problems {
		if p.Error {
			got = append(got, p.Text)
		}
	}
	for _, want := range s.blocks["wrong"] {
		i := slices.IndexFunc(got, func(text string) bool { return strings.Contains(text, want) })
		if i < 0 {
			t.Errorf("no error says %q: %q", want, got)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	if len(got) > 0 {
		t.Errorf("further errors: %q", got)
	}
}

// uncommented returns the lines of tables without comments and alignment.
func uncommented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " # ")
		if fields := strings.Fields(line); len(fields) > 0 {
			lines = append(lines, strings.Join(fields, " "))
		}
	}
	return strings.Join(lines, "\n")
}

// loads checks that tables are a configuration.
func loads(t *testing.T, text string) {
	t.Helper()
	if text == "" {
		return
	}
	file := filepath.Join(t.TempDir(), "keypaird.toml")
	if strings.Contains(text, `"ns"`) {
		text += "\n[dns.ns]\nprovider = \"exec\"\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Options{Path: file, Getenv: func(string) string { return "" }}); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
}

// discoverer returns a Discoverer whose DNS and web are those of the shape.
func (s shape) discoverer(t *testing.T) *discover.Discoverer {
	ca, key := newRoot(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	w := &fakeWeb{sites: s.blocks["web"], conns: make(chan net.Conn), done: t.Context().Done(), leaf: func(name string) (*tls.Certificate, error) { return certify(ca, key, name) }}
	server := &http.Server{
		Handler: w,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, siteKey{}, c.LocalAddr().String())
		},
	}
	go server.Serve(w)
	t.Cleanup(func() { server.Close() })
	return &discover.Discoverer{
		Resolvers: []string{s.serveDNS(t)}, Roots: roots, Dial: w.dial,
		Query: 20 * time.Second, Fetch: 30 * time.Second, Limit: 5 * time.Minute,
	}
}

// serveDNS serves the zone of a shape; other names do not exist.
func (s shape) serveDNS(t *testing.T) string {
	records := map[string][]dns.RR{}
	for _, line := range s.blocks["zone"] {
		name, rest, _ := strings.Cut(line, " ")
		rr, err := dns.NewRR(name + " 300 IN " + rest)
		if err != nil {
			t.Fatal(err)
		}
		records[name] = append(records[name], rr)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable, m.AuthenticatedData = true, s.signed
		exists := answer(m, records, strings.ToLower(q.Question[0].Name), q.Question[0].Qtype)
		if !exists {
			m.Rcode = dns.RcodeNameError
		}
		if len(m.Answer) == 0 {
			soa, _ := dns.NewRR("example.org. 60 IN SOA ns.example.org. h.example.org. 1 60 60 60 60")
			m.Ns = append(m.Ns, soa)
		}
		w.WriteMsg(m)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return conn.LocalAddr().String()
}

// answer adds the records of a name to a reply, aliases followed. It reports whether
// the name exists.
func answer(m *dns.Msg, records map[string][]dns.RR, name string, kind uint16) bool {
	set, exists := records[name]
	for other := range records { // empty non-terminals
		exists = exists || strings.HasSuffix(other, "."+name)
	}
	for parent := name; !exists && strings.Contains(strings.TrimSuffix(parent, "."), "."); {
		_, parent, _ = strings.Cut(parent, ".")
		if set = records["*."+parent]; set != nil {
			exists = true
		}
		if slices.ContainsFunc(slices.Collect(func(yield func(string) bool) {
			for other := range records {
				if !yield(other) {
					return
				}
			}
		}), func(other string) bool { return other == parent || strings.HasSuffix(other, "."+parent) }) {
			break // the closest encloser
		}
	}
	for _, rr := range set {
		rr := dns.Copy(rr)
		rr.Header().Name = name
		switch {
		case rr.Header().Rrtype == kind:
			m.Answer = append(m.Answer, rr)
		case rr.Header().Rrtype == dns.TypeCNAME:
			m.Answer = append(m.Answer, rr)
			return answer(m, records, rr.(*dns.CNAME).Target, kind)
		}
	}
	return exists
}

// A fakeWeb answers for the addresses of all sites. It is a listener of connections
// that dial makes.
type fakeWeb struct {
	sites []string
	conns chan net.Conn
	done  <-chan struct{}
	leaf  func(name string) (*tls.Certificate, error)
}

type siteKey struct{}

// A fakeConn has the address that was dialled.
type fakeConn struct {
	net.Conn
	at fakeAddr
}

type fakeAddr string

func (a fakeAddr) Network() string     { return "tcp" }
func (a fakeAddr) String() string      { return string(a) }
func (c fakeConn) LocalAddr() net.Addr { return c.at }
func (w *fakeWeb) Addr() net.Addr      { return fakeAddr("") }
func (w *fakeWeb) Close() error        { return nil }
func (w *fakeWeb) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *fakeWeb) dial(ctx context.Context, _, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	addr := at.Addr().String()
	if at.Port() != 443 || !slices.ContainsFunc(w.sites, func(s string) bool { return strings.HasPrefix(s, addr+" ") }) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	near, far := net.Pipe()
	served := tls.Server(fakeConn{far, fakeAddr(addr)}, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return w.leaf(h.ServerName) }})
	select {
	case w.conns <- served:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *fakeWeb) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	addr, _ := r.Context().Value(siteKey{}).(string)
	for _, s := range w.sites {
		f := strings.SplitN(s, " ", 5)
		if f[0] != addr || f[1] != r.Host || f[2] != r.URL.Path && f[2] != "*" {
			continue
		}
		status := 0
		fmt.Sscan(f[3], &status)
		body := strings.ReplaceAll(f[4], `\n`, "\n")
		if status/100 == 3 {
			out.Header().Set("Location", body)
		}
		out.Header().Set("Content-Type", "text/plain")
		out.Header().Set("Access-Control-Allow-Origin", "*")
		out.WriteHeader(status)
		fmt.Fprint(out, body)
		return
	}
	http.NotFound(out, r)
}

func newRoot(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca, key
}

func certify(ca *x509.Certificate, key *ecdsa.PrivateKey, name string) (*tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, &key.PublicKey, key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
