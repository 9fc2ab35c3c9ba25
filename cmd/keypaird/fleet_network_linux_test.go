package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/testutil"
)

// A network has a network namespace for each machine, joined by a bridge. The CA and the
// name server are where the test is.
type network struct {
	*testing.T
	machines map[string]*exec.Cmd // that holds the namespace, by address
}

const ourAddr = "10.9.0.1"

func newNetwork(t *testing.T) *network {
	for _, name := range []string{"ip", "nsenter", "unshare"} {
		testutil.Program(t, name)
	}
	w := &network{t, map[string]*exec.Cmd{}}
	w.run("ip", "link", "add", "br0", "type", "bridge")
	w.run("ip", "addr", "add", ourAddr+"/24", "dev", "br0")
	w.run("ip", "link", "set", "br0", "up")
	return w
}

func (w *network) run(argv ...string) {
	w.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		w.Fatalf("%q: %v: %s", argv, err, out)
	}
}

// enter returns what runs a program on a machine.
func (w *network) enter(addr string) []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", w.machines[addr].Process.Pid)}
}

func (w *network) on(addr string, argv ...string) {
	w.Helper()
	w.run(append(w.enter(addr), argv...)...)
}

// machine makes a machine.
func (w *network) machine(addr string) {
	w.Helper()
	holder := exec.Command("unshare", "-n", "sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	try(w.T, holder.Start())
	w.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	own, err := os.Readlink("/proc/self/ns/net")
	try(w.T, err)
	pid := fmt.Sprint(holder.Process.Pid)
	try(w.T, testutil.Within(patience, func() error {
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		if is, _ := os.Readlink("/proc/" + pid + "/ns/net"); is == own || string(comm) != "sleep\n" {
			return errors.New("no network of its own")
		}
		return nil
	}))
	w.machines[addr] = holder
	name := fmt.Sprintf("v%d", len(w.machines))
	w.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pid)
	w.run("ip", "link", "set", name, "master", "br0", "up")
	w.on(addr, "ip", "link", "set", "lo", "up")
	w.on(addr, "ip", "addr", "add", addr+"/24", "dev", "eth0")
	w.on(addr, "ip", "link", "set", "eth0", "up")
}

// cut drops all packets between two groups of machines until heal is called.
func (w *network) cut(these, those []string) (heal func()) {
	w.Helper()
	each := func(do func(a, b string)) {
		for _, a := range these {
			for _, b := range those {
				if a != b {
					do(a, b)
					do(b, a)
				}
			}
		}
	}
	each(func(a, b string) {
		w.on(a, "ip", "neigh", "replace", b, "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent")
	})
	return func() { each(func(a, b string) { w.on(a, "ip", "neigh", "del", b, "dev", "eth0") }) }
}

// A netFleet is a fleet on machines of their own: three nodes with nginx, and three members
// of the engine.
type netFleet struct {
	*testFleet
	net   *network
	pair  string
	probe *prober
}

// addrOf returns the address of a node.
func addrOf(n *fleetNode) string { return strings.TrimSuffix(n.addr, ":80") }

// served is the name that is asked for, which is in all certificates.
const servedName = "mail.example.org"

func newNetFleet(t *testing.T) *netFleet {
	t.Helper()
	testutil.Program(t, "nginx")
	_, err := built("keypaird-dns")
	dir := t.TempDir()
	try(t, err, os.Chmod(dir, 0o755))
	w := newNetwork(t)
	hosts := []string{"10.9.0.21", "10.9.0.22", "10.9.0.23"}
	for _, addr := range append([]string{"10.9.0.11", "10.9.0.12", "10.9.0.13"}, hosts...) {
		w.machine(addr)
	}
	around, err := newWorld(nil, dir)
	try(t, err)
	t.Cleanup(around.close)
	around.vars["DNS"] = ourAddr + ":53"
	around.vars["RESOLVERS"] = fmt.Sprintf("resolvers = [%q]", around.vars["DNS"])
	try(t, around.startDNS())
	f := &netFleet{testFleet: &testFleet{T: t, world: around, order: []string{"mx1", "mx2"}}, net: w}
	f.tables = f.renewed
	f.fill(etcdtest.Start(t, etcdtest.Options{Members: 3, Hosts: hosts, Enter: w.enter}),
		acmetest.Options{AuthzReuse: -1, Addr: ourAddr + ":0", Names: []string{ourAddr}}, []string{"mx1", "mx2", "web"})
	for i, n := range f.nodes {
		n.addr = fmt.Sprintf("10.9.0.%d:80", 11+i)
		n.enter = w.enter(addrOf(n))
		f.startNginx(n)
		n.join()
	}
	f.configure()
	f.nodes[0].must("fleet", "init")
	for _, n := range f.nodes {
		n.start()
	}
	f.pair = f.agreeOn("plain", f.pair, f.nodes...)
	f.issued(1)
	f.servedEverywhere()
	time.Sleep(2 * time.Second) // no old worker of nginx accepts any more
	return f
}

// renewed returns the tables of one target, of other names in each round.
func (f *netFleet) renewed(n *fleetNode) string {
	others := []string{"example.org", "*.example.org", "conference.example.org", "*.conference.example.org", "upload.example.org", "*.upload.example.org"}
	names := []string{servedName}
	for i, name := range others {
		if n.fleet.round&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return fmt.Sprintf(`
[cert.plain]
dns-01 = ["%[1]s"]
dns = "ns"
deploy = ["nginx"]
[deploy.nginx]
chain = "%[2]s/{name}.crt"
key = "%[2]s/{name}.key"
check = ["nginx", "-t", "-c", "%[3]s", "-e", "%[4]s"]
reload = ["nginx", "-s", "reload", "-c", "%[3]s", "-e", "%[4]s"]
verify = ["%[5]s:443"]
`, strings.Join(names, `", "`), n.file("out"), n.file("nginx.conf"), n.file("nginx.log"), addrOf(n))
}

// startNginx starts a node's nginx, with a pair that is replaced.
func (f *netFleet) startNginx(n *fleetNode) {
	p, err := pairtest.Issue([]string{servedName}, time.Now(), time.Hour)
	try(f.T, err)
	f.pair = string(p.FullChain()) + string(p.Key())
	testutil.WriteFile(f.T, n.file("out", "plain.crt"), p.FullChain(), 0o600)
	testutil.WriteFile(f.T, n.file("out", "plain.key"), p.Key(), 0o600)
	conf := "user root;\n" + fmt.Sprintf(nginxConf, n.file()) + fmt.Sprintf("\tserver { listen %s:443 ssl; ssl_certificate %[2]s/plain.crt; ssl_certificate_key %[2]s/plain.key; return 200; }\n}\n", addrOf(n), n.file("out"))
	testutil.WriteFile(f.T, n.file("nginx.conf"), conf, 0o644)
	argv := append(slices.Clone(n.enter), "nginx", "-c", n.file("nginx.conf"), "-e", n.file("nginx.log"))
	try(f.T, f.world.daemon(argv[0], argv[1:]...))
}

// roots are those of the CA.
func (f *netFleet) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(f.world.file("trust.pem"))
	try(f.T, err)
	if !pool.AppendCertsFromPEM(pem) {
		f.Fatal("no roots")
	}
	return pool
}

// serves returns the fingerprint of what a machine serves, which the CA issued.
func serves(addr string, roots *x509.CertPool) (string, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr+":443", &tls.Config{ServerName: servedName, RootCAs: roots})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
	return hex.EncodeToString(sum[:]), nil
}

// fingerprintOf returns that of the first certificate in PEM.
func fingerprintOf(text string) string {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// servedEverywhere waits until a client sees what is deployed at each node.
func (f *netFleet) servedEverywhere() {
	f.Helper()
	roots := f.roots()
	for _, n := range f.nodes {
		if err := testutil.Within(patience, func() error { // an old worker of nginx may still accept
			is, err := serves(addrOf(n), roots)
			if err == nil && is != fingerprintOf(f.pair) {
				err = errors.New("it serves another certificate")
			}
			return err
		}); err != nil {
			f.Errorf("%s: %v", n.name, err)
		}
	}
}

// A prober connects to all nodes all the time.
type prober struct {
	done     chan struct{}
	probing  sync.WaitGroup
	mu       sync.Mutex
	seen     int
	failures []string
	certs    map[string]bool
}

// startProber connects until end is called.
func (f *netFleet) startProber() (end func()) {
	p := &prober{done: make(chan struct{}), certs: map[string]bool{}}
	f.probe = p
	roots := f.roots()
	for _, n := range f.nodes {
		addr := addrOf(n)
		p.probing.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				is, err := serves(addr, roots)
				p.mu.Lock()
				p.seen++
				p.certs[is] = true
				if err != nil {
					p.failures = append(p.failures, fmt.Sprintf("%s at %v: %v", addr, time.Now(), err))
				}
				p.mu.Unlock()
				select {
				case <-p.done:
					return
				case <-tick.C:
				}
			}
		})
	}
	return func() {
		close(p.done)
		p.probing.Wait()
		f.Logf("%d handshakes, %d certificates, %d failures", p.seen, len(p.certs), len(p.failures))
		for _, failure := range p.failures[:min(len(p.failures), 10)] {
			f.Error(failure)
		}
	}
}

// leader returns the member that leads.
func (f *netFleet) leader() *etcdtest.Member {
	f.Helper()
	var all []struct {
		Endpoint string
		Status   struct {
			Header struct {
				Member uint64 `json:"member_id"`
			}
			Leader uint64
		}
	}
	try(f.T, json.Unmarshal([]byte(f.engine.Ctl("endpoint", "status", "-w", "json")), &all))
	for _, m := range f.engine.Members {
		for _, e := range all {
			if e.Endpoint == m.URL && e.Status.Leader == e.Status.Header.Member {
				return m
			}
		}
	}
	f.Fatal("no member leads")
	return nil
}

// A disturbance is what happens to machines during one renewal.
type disturbance struct {
	name string
	at   string // what the CA has just answered; "": before the renewal
	do   func(f *netFleet) (undo func())
	away bool // a node cannot have the pair before it is undone: the others may wait for it, two minutes
}

func hostsOf(members []*etcdtest.Member) (hosts []string) {
	for _, m := range members {
		hosts = append(hosts, m.Host())
	}
	return hosts
}

// without returns the members but one.
func without(members []*etcdtest.Member, m *etcdtest.Member) []*etcdtest.Member {
	return slices.DeleteFunc(slices.Clone(members), func(o *etcdtest.Member) bool { return o == m })
}

// disturbances are all kinds, of which the first few are always tried.
func (f *netFleet) disturbances() (all []disturbance) {
	kill := func(m func(f *netFleet) *etcdtest.Member) func(f *netFleet) func() {
		return func(f *netFleet) func() {
			m := m(f)
			m.Kill()
			return m.Start
		}
	}
	all = []disturbance{{"the member that leads is killed", "order", kill((*netFleet).leader), false}}
	for i := range f.engine.Members {
		all = append(all, disturbance{fmt.Sprintf("member %d is killed", i), "", kill(func(f *netFleet) *etcdtest.Member { return f.engine.Members[i] }), false})
	}
	for _, at := range []string{"", "order", "finalize"} {
		all = append(all, disturbance{fmt.Sprintf("the node that orders is cut from the engine (%q)", at), at, func(f *netFleet) func() {
			return f.net.cut([]string{addrOf(f.holder())}, hostsOf(f.engine.Members))
		}, true})
	}
	return append(all,
		disturbance{"the member that leads is cut from all", "order", func(f *netFleet) func() {
			rest := hostsOf(without(f.engine.Members, f.leader()))
			for _, n := range f.nodes {
				rest = append(rest, addrOf(n))
			}
			return f.net.cut([]string{f.leader().Host()}, rest)
		}, false},
		disturbance{"the member that leads is stopped", "order", func(f *netFleet) func() {
			m := f.leader()
			m.Freeze()
			return m.Thaw
		}, false},
		disturbance{"half and half, the node that orders with the few", "order", func(f *netFleet) func() { return f.halves(true) }, true},
		disturbance{"half and half, the node that orders with the many", "order", func(f *netFleet) func() { return f.halves(false) }, true},
		disturbance{"all members are cut from each other and from all for a minute", "order", func(f *netFleet) func() {
			hosts := hostsOf(f.engine.Members)
			all := slices.Clone(hosts)
			for _, n := range f.nodes {
				all = append(all, addrOf(n))
			}
			var heal []func()
			for i, host := range hosts {
				heal = append(heal, f.net.cut([]string{host}, all[i+1:]))
			}
			time.AfterFunc(time.Minute, func() {
				for _, h := range heal {
					h()
				}
			})
			return func() {}
		}, false},
	)
}

// halves cuts the node that orders and one member, or two, from the rest.
func (f *netFleet) halves(few bool) (heal func()) {
	holder := addrOf(f.holder())
	these, those := []string{holder}, []string{}
	for _, n := range f.nodes {
		if a := addrOf(n); a != holder {
			those = append(those, a)
		}
	}
	hosts := hostsOf(f.engine.Members)
	with := 2
	if few {
		with = 1
	}
	return f.net.cut(append(these, hosts[:with]...), append(those, hosts[with:]...))
}

// disturbed has a certificate renewed while something happens.
func (f *netFleet) disturbed(d disturbance) {
	f.Helper()
	began := time.Now()
	before := f.release("plain").Fingerprint
	undo, done := func() {}, make(chan struct{})
	happen := func() {
		defer close(done)
		undo = d.do(f)
	}
	if d.at == "" {
		happen()
	} else {
		f.ca.at(d.at, true, happen)
	}
	f.change(f.nodes...)
	<-done
	if d.away {
		f.published("plain", before)
	} else {
		f.agreeOn("plain", f.pair, f.nodes...)
	}
	took := time.Since(began)
	undo()
	f.engine.Wait()
	f.pair = f.agreeOn("plain", f.pair, f.nodes...)
	f.servedEverywhere()
	placed, finalized := f.ca.orders()
	f.Logf("%s: published or deployed after %v, everywhere after %v; %d orders placed, %d finalized", d.name, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), placed, finalized)
	if finalized != 1 || placed > 2 {
		f.Errorf("%s: %d orders placed, %d finalized", d.name, placed, finalized)
	}
	f.ca.forgetOrders()
}

// Three nodes and three members of the engine on machines of their own, some of which are
// cut from each other, killed or stopped during each renewal: one of them, and if all is
// tested all, which takes minutes. Each certificate is issued once, and in the end all nodes
// serve it; meanwhile no client is refused or sees a pair that does not fit.
func TestFleetNetwork(t *testing.T) {
	if !onMachines(t) {
		return
	}
	f := newNetFleet(t)
	end := f.startProber()
	all := f.disturbances()
	if !testutil.Exhaustive() {
		all = all[:1]
	}
	for _, d := range all {
		f.disturbed(d)
		if t.Failed() {
			break
		}
	}
	end()
	if f.probe.seen < 100 || len(f.probe.certs) < len(all)+1 {
		t.Errorf("%d handshakes, %d certificates", f.probe.seen, len(f.probe.certs))
	}
}
