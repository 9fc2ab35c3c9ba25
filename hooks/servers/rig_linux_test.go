package servers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/preset"
	"keypaird/renew/keypair"
)

// A target is a certificate of the story.
type target struct {
	name  string
	names []string
}

// A rig is a server at work, with keypaird beside it.
type rig struct {
	t       *testing.T
	server  preset.Server
	unit    unit
	head    string // of keypaird's configuration
	targets []target
	doors   []door
	conf    string        // the server's configuration, which a person may break
	haste   time.Duration // how long commands may take, and servers to serve what they are told, where they do not; see patience
	took    time.Duration // how long the last issue did that went well

	bought bool // the certificate of the plain domain is
	store  *keypair.Store
	live   map[string]string // fingerprints by target
	seen   map[string]bool   // fingerprints there have been
}

// newRig starts a CA and a DNS server, and prepares what the preset's server
// needs.
func newRig(t *testing.T, name string, u unit, doors ...door) *rig {
	t.Helper()
	servers := preset.Servers()
	i := slices.IndexFunc(servers, func(s preset.Server) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no preset %q", name)
	}
	located(t, "openssl")
	startDNS(t)
	r := &rig{t: t, server: servers[i], unit: u, doors: doors, head: startCA(t), haste: 8 * time.Second,
		live: map[string]string{}, seen: map[string]bool{}}
	r.targets = []target{{plain, []string{plain}}, {host, []string{host}}}
	if r.server.Deployment.Single {
		r.targets = []target{{plain, []string{host, plain}}}
	}
	u.prepare(t)
	r.configure("")
	return r
}

const state = "/var/lib/keypaird"

// configure writes keypaird's configuration: certificates, and a preset as it
// is but for where to verify it and table.
func (r *rig) configure(table string) {
	r.t.Helper()
	var verify []string
	var names []string
	for _, t := range r.targets {
		names = append(names, quote(t.name))
	}
	for _, d := range r.doors { // each is to know both names, and an XMPP server is a host's too
		verify = append(verify, "{ endpoint = "+quote(d.endpoint())+", names = ["+strings.Join(names, ", ")+"] }")
	}
	write(r.t, "/etc/keypaird/keypaird.toml", r.head+r.certificates()+
		"[deploy."+r.server.Name+"]\nverify = ["+strings.Join(verify, ", ")+"]\n"+table)
}

// certificates are those that are configured: of an identity, but for those
// that are to come, or were bought.
func (r *rig) certificates() string {
	deploy := "deploy = [" + quote(r.server.Name) + "]\n"
	cert := func(name, proof string) string {
		return "[cert." + quote(name) + "]\n" + proof + "\n" + deploy
	}
	bought := cert(plain, "external = { chain = "+quote(boughtChain)+", key = "+quote(boughtKey)+" }")
	identity := "[identity." + quote(plain) + "]\nhost = " + quote(host) + "\ndns = \"ns\"\n" + deploy
	switch {
	case r.bought && r.server.Deployment.Single:
		return bought
	case r.bought:
		return bought + cert(host, "http-01 = ["+quote(host)+"]")
	case r.server.Deployment.Single:
		return identity + "one_certificate = true\n"
	case len(r.targets) == 1: // the host is to come
		return cert(plain, "dns = \"ns\"\ndns-01 = ["+quote(plain)+"]")
	}
	return identity
}

// setup is what "keypaird deploy -list" says of the server's configuration, for
// a target.
func (r *rig) setup(name string) string {
	return strings.NewReplacer("NAME", name, "STATE", state).Replace(strings.Join(r.server.Setup, "\n")) + "\n"
}

// fit does what "keypaird check" says is missing on this machine: after the
// package was installed, at most a directory for the files.
func (r *rig) fit() {
	r.t.Helper()
	said, _ := r.exit("check")
	for line := range strings.Lines(said) {
		remedy, _, _ := strings.Cut(line, ", or set ")
		if command, ok := strings.CutPrefix(strings.TrimSpace(remedy), "remedy: install -d "); ok {
			must(r.t, append([]string{"install", "-d"}, strings.Fields(command)...)...)
		}
	}
	r.keypaird(0, "check")
}

// begin is how it begins: certificates are issued, but the server does not run,
// since it has none. Then it is started, and the deployment is finished.
func (r *rig) begin() {
	r.t.Helper()
	r.fit()
	r.keypaird(1, "issue")
	r.rows("failing", "", r.targets)
	r.unit.start(r.t)
	r.look()
	eventually(r.t, "the first pairs are shown", func() error { return r.wrong() })
	r.keypaird(0, "issue")
	r.deployed("begin")
}

// look notes what is live.
func (r *rig) look() {
	r.t.Helper()
	if r.store == nil {
		store, err := keypair.Open(state)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { store.Close() })
		r.store = store
	}
	for _, t := range r.targets {
		v, err := r.store.Live(t.name)
		if err != nil {
			r.t.Fatal(err)
		}
		r.live[t.name] = v.Pair.Fingerprint()
		r.seen[v.Pair.Fingerprint()] = true
	}
}

// isLive tells whether a fingerprint is of what is live.
func (r *rig) isLive(fingerprint string) bool {
	for _, f := range r.live {
		if f == fingerprint {
			return true
		}
	}
	return false
}

// readsStore tells whether the server reads keypaird's store itself.
func (r *rig) readsStore() bool {
	p := r.server.Deployment
	return p.Chain+p.Key+p.Combined == ""
}

// paths are where the server has its keys: files of key alone, and of key and
// chain.
func (r *rig) paths(name string) (key, combined string) {
	p := r.server.Deployment
	in := func(template string) string { return strings.ReplaceAll(template, "{name}", name) }
	if r.readsStore() {
		live := filepath.Join(state, "certs", name, "live")
		return filepath.Join(live, "privkey.pem"), filepath.Join(live, "combined.pem")
	}
	return in(p.Key), in(p.Combined)
}

// remove removes files.
func (r *rig) remove(files ...string) {
	r.t.Helper()
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			r.t.Fatal(err)
		}
	}
}
