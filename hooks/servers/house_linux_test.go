package servers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/preset"
)

const component = "conference.example.org"

// A house is an identity with a component on one host, with three servers: nginx,
// haproxy for the Matrix federation, and one for XMPP.
type house struct {
	*rig
	peers *peers
	xmpp  string
	units map[string]unit
	runs  map[string]*process
	doors map[string][]door // by server
}

func TestHouseWithProsody(t *testing.T) {
	if !alone(t) {
		return
	}
	h := newHouse(t, "prosody")
	h.conf = "/etc/prosody/prosody.cfg.lua"
	extend(t, h.conf, "VirtualHost \""+plain+"\"")
	extend(t, h.conf, "Component \""+component+"\" \"muc\"")
	h.tell("Component \""+component+"\"", "Component \"rooms.example.org\"")
}

func TestHouseWithEjabberd(t *testing.T) {
	if !alone(t) {
		return
	}
	h := newHouse(t, "ejabberd")
	h.conf, h.haste = "/etc/ejabberd/ejabberd.yml", 30*time.Second // a reload starts an Erlang machine
	replace(t, h.conf, "hosts:\n  - localhost\n", "hosts:\n  - "+plain+"\n")
	replace(t, h.conf, "certfiles:\n  - \"/etc/ejabberd/ejabberd.pem\"\n", h.setupOf("ejabberd", plain))
	replace(t, h.conf, "  mod_muc:\n", "  mod_muc:\n    host: \""+component+"\"\n")
	h.tell("host: \""+component+"\"", "host: \"rooms.example.org\"")
}

// newHouse starts DNS and a CA, and prepares three servers.
func newHouse(t *testing.T, xmpp string) *house {
	t.Helper()
	located(t, "openssl")
	h := &house{xmpp: xmpp, units: map[string]unit{}, runs: map[string]*process{}, doors: map[string][]door{
		"nginx": {{443, "https", ""}}, "haproxy": {{8448, "https", ""}}, xmpp: {{5222, "xmpp-client", ""}, {5269, "xmpp-server", ""}},
	}}
	for _, program := range []string{"nginx", "haproxy", map[string]string{"prosody": "prosody", "ejabberd": "ejabberdctl"}[xmpp]} {
		located(t, program)
	}
	startDNS(t)
	h.rig = &rig{t: t, head: startCA(t), haste: 8 * time.Second, live: map[string]string{}, seen: map[string]bool{},
		targets: []target{{plain, []string{component, plain}}, {host, []string{host}}}}
	for _, name := range h.names() {
		h.units[name] = readUnit(t, name)
		h.units[name].prepare(t)
	}
	h.remove("/etc/nginx/sites-enabled/default")
	sites := ""
	for _, name := range []string{plain, host} {
		sites += "server {\nlisten 443 ssl;\nserver_name " + name + ";\n" + h.setupOf("nginx", name) + "return 204;\n}\n"
	}
	write(t, "/etc/nginx/sites-enabled/example", sites)
	extend(t, "/etc/haproxy/haproxy.cfg", "frontend example\n"+strings.Replace(h.setupOf("haproxy", ""), ":443", ":8448", 1)+"http-request return status 204")
	return h
}

// names are those of the servers.
func (h *house) names() []string { return []string{"nginx", "haproxy", h.xmpp} }

// setupOf is what "keypaird deploy -list" says of the configuration of a server.
func (h *house) setupOf(server, name string) string {
	servers := preset.Servers()
	i := slices.IndexFunc(servers, func(s preset.Server) bool { return s.Name == server })
	return strings.NewReplacer("NAME", name, "STATE", state).Replace(strings.Join(servers[i].Setup, "\n")) + "\n"
}

// visits are what peers want at a server.
func (h *house) visits(server string) []visit {
	var list []visit
	for _, d := range h.doors[server] {
		names := map[string][]string{"https": {plain, host}, "xmpp-client": {plain}, "xmpp-server": {plain, component}}[d.proto]
		for _, name := range names {
			list = append(list, visit{d, name})
		}
	}
	return list
}

// discovered writes the configuration that "keypaird discover" prints, with the
// servers of this host in place of the one it supposes.
func (h *house) discovered() {
	h.t.Helper()
	said, _ := h.exit("discover", "-json", "-service", "matrix", "-service", "xmpp", "-component", component, plain)
	var found struct{ Config string }
	if i := strings.Index(said, "{"); i < 0 || json.NewDecoder(strings.NewReader(said[i:])).Decode(&found) != nil {
		h.t.Fatalf("discover says:\n%s", said)
	}
	h.t.Logf("discover prints\n%s", found.Config)
	supposed := regexp.MustCompile(`\["nginx", "\w+"\]`) // a web server and one for XMPP
	if !supposed.MatchString(found.Config) || !strings.Contains(found.Config, component) {
		h.t.Fatalf("discover prints\n%s", found.Config)
	}
	names, _, _ := strings.Cut(found.Config, "\n[deploy.") // haproxy has a port of nginx, and tests have less time
	tables := supposed.ReplaceAllString(names, fmt.Sprintf(`["nginx", "haproxy", %q]`, h.xmpp))
	for _, name := range h.names() {
		var verify []string
		for _, d := range h.doors[name] {
			verify = append(verify, fmt.Sprintf("%q", fmt.Sprint("127.0.0.1:", d.port)))
		}
		tables += fmt.Sprintf("[deploy.%s]\ntimeout = %q\nverify = [%s]\n", name, h.haste, strings.Join(verify, ", "))
	}
	write(h.t, "/etc/keypaird/keypaird.toml", h.head+tables)
}

// tell is the story of the house.
func (h *house) tell(known, unknown string) {
	h.t.Helper()
	h.discovered()
	h.fit()
	h.exit("issue") // nobody listens yet
	var all []visit
	for _, name := range h.names() {
		h.start(name)
		all = append(all, h.visits(name)...)
	}
	h.keypaird(0, "issue")
	h.right("begin")
	h.peers = newPeers(h.t, all)
	h.renewed("renew")
	for _, name := range h.names() {
		h.stopped(name)
		h.deaf(name)
		h.broken(name)
	}
	h.disowned(known, unknown)
	h.renewed("at last")
	h.peers.judge(h.t)
}

// start starts a server, and waits until it listens.
func (h *house) start(name string) {
	h.t.Helper()
	h.runs[name] = h.units[name].start(h.t)
	for _, d := range h.doors[name] {
		h.listens(d, true)
	}
}

func (h *house) listens(d door, want bool) {
	h.t.Helper()
	eventually(h.t, d.endpoint(), func() error {
		if got := dials(d); got != want {
			return fmt.Errorf("listens: %v", got)
		}
		return nil
	})
}

// stop stops a server.
func (h *house) stop(name string) {
	h.t.Helper()
	switch run := h.runs[name]; {
	case run == nil: // nginx
		must(h.t, "nginx", "-s", "stop")
	case name == "ejabberd":
		must(h.t, "ejabberdctl", "stop")
		<-run.done
	default:
		run.stop()
	}
	for _, d := range h.doors[name] {
		h.listens(d, false)
	}
}

// right fails unless every endpoint is verified.
func (h *house) right(what string) {
	h.t.Helper()
	h.look()
	said := h.keypaird(0, "verify", "-roots", rootFile)
	for _, name := range h.names() {
		for _, v := range h.visits(name) {
			if !strings.Contains(said, fmt.Sprint("127.0.0.1:", v.port)) {
				h.t.Errorf("%s: %s is not in\n%s", what, v, said)
			}
		}
	}
	said = h.keypaird(0, "status")
	if strings.Contains(said, "failing") || strings.Contains(said, "absent") || strings.Count(said, "verified") < 6 {
		h.t.Errorf("%s: status says\n%s", what, said)
	}
}

// renewed renews by force, and all is right.
func (h *house) renewed(what string) {
	h.t.Helper()
	began := time.Now()
	h.keypaird(0, "issue", "-force")
	h.right(what)
	h.t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
}

// mendedAgain finishes what was refused, without an order.
func (h *house) mendedAgain(what string) {
	h.t.Helper()
	if said, status := h.exit("issue"); status == 1 || strings.Contains(said, ": issued by") {
		h.t.Errorf("%s, mended: exit status %d\n%s", what, status, said)
	}
	h.right(what + ", mended")
}

// only reports whether a visit is to a server.
func (h *house) only(server string) func(visit) bool {
	return func(v visit) bool { return slices.Contains(h.doors[server], v.door) }
}

// others fails unless the other servers serve what was issued last.
func (h *house) others(what, server string) {
	h.t.Helper()
	said := h.keypaird(0, "status")
	for _, name := range h.names() {
		want := len(h.targets)
		if name == h.xmpp { // no name of the host is asked for there
			want = 1
		}
		if name != server && strings.Count(said, "deployment "+name+": verified") < want {
			h.t.Errorf("%s: %s is not verified for all:\n%s", what, name, said)
		}
	}
	if !strings.Contains(said, "deployment "+server+": pending") {
		h.t.Errorf("%s: %s is not pending:\n%s", what, server, said)
	}
}

// stopped has a server down before a renewal and after it.
func (h *house) stopped(server string) {
	h.t.Helper()
	h.peers.close(true, h.only(server))
	h.stop(server)
	h.keypaird(1, "issue", "-force")
	h.others(server+" stopped", server)
	h.start(server)
	h.mendedAgain(server + " stopped")
	h.peers.close(false, h.only(server))
}

// deaf has a server ignore that it is told, so that it serves what it had.
func (h *house) deaf(server string) {
	h.t.Helper()
	if server == "nginx" { // keypaird tells it itself
		return
	}
	h.trouble(server, server+" deaf", "deaf."+server)
}

// broken has a reload fail.
func (h *house) broken(server string) {
	h.t.Helper()
	if server == "nginx" {
		conf := "/etc/nginx/sites-enabled/example"
		was := read(h.t, conf)
		write(h.t, conf, was+"\n{{{\n")
		h.keypaird(1, "issue", "-force")
		h.others("nginx broken", server)
		write(h.t, conf, was)
		h.mendedAgain("nginx broken")
		return
	}
	h.trouble(server, server+" broken", "broken."+server)
}

var timeouts = regexp.MustCompile(`timeout = "\w+"`)

func (h *house) trouble(server, what, file string) {
	h.t.Helper()
	began := time.Now()
	conf := read(h.t, "/etc/keypaird/keypaird.toml")
	write(h.t, "/etc/keypaird/keypaird.toml", timeouts.ReplaceAllString(conf, "timeout = "+quote(h.patience().String())))
	file = filepath.Join(ours, file)
	write(h.t, file, "")
	h.keypaird(1, "issue", "-force")
	h.others(what, server)
	if err := os.Remove(file); err != nil {
		h.t.Fatal(err)
	}
	h.mendedAgain(what)
	h.t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
}

// disowned has the XMPP server not know the component, before a renewal and after it.
// That is no fault of the new pair; "verify" says it.
func (h *house) disowned(known, unknown string) {
	h.t.Helper()
	again := func(old, text string) { // Prosody takes its hosts from the configuration at its start alone
		h.peers.close(true, h.only(h.xmpp))
		h.stop(h.xmpp)
		replace(h.t, h.conf, old, text)
		h.start(h.xmpp)
	}
	again(known, unknown)
	at := h.visits(h.xmpp)[len(h.visits(h.xmpp))-1]
	if err := at.visit(h.t.Context(), h.peers.roots); err == nil {
		h.t.Errorf("%s is still known", at)
	}
	h.keypaird(0, "issue", "-force")
	if said := h.keypaird(1, "verify", "-roots", rootFile); !strings.Contains(said, component) {
		h.t.Errorf("verify says nothing of the component:\n%s", said)
	}
	again(unknown, known)
	h.right("the component again")
	h.peers.close(false, h.only(h.xmpp))
}
