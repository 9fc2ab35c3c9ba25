package discover

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/renew/testutil"
)

// A story is a domain, what a specification says about it, and nothing that
// was copied from the program's output. In web and want, "@" stands for
// the domain, as it does in zones, and {1}, {2}, … for addresses that are its own.
type story struct {
	name   string // in an operator's words, and the domain's first label
	spec   string // where it is written what must come out
	zone   string // records; SOA and NS are added
	broken string // names, relative to the domain, whose look-up fails: SERVFAIL
	web    []site9
	want   string // one line a row; see line
	led    string // evidence: "role/step: what state, what state, …" of the first such row, in the order it is asked
	says   string // problems, one a line, each a part of the text; "!" before errors

	components []string
	signed     bool // the zone, and the resolver validates

	domain string
}

// A site9 is one virtual host of nginx at one address.
type site9 struct {
	addr  string // {1}
	host  string // "@"
	files map[string]string
	conf  string // more directives
	until time.Duration
	names []string // of the certificate; none: host
}

// fill gives a story its domain and addresses.
func (st *story) fill(i int) {
	st.domain = strings.NewReplacer(" ", "-", ".", "-", ",", "", "'", "", ":", "", `"`, "").Replace(strings.ToLower(st.name)) + ".test"
	var pairs []string
	for n := range 9 {
		pairs = append(pairs, fmt.Sprintf("{%d}", n+1), fmt.Sprintf("127.1.%d.%d", i+1, n+1))
	}
	st.zone = strings.NewReplacer(pairs...).Replace(st.zone) // where "@" is the domain anyway
	r := strings.NewReplacer(append(pairs, "@", st.domain)...)
	for _, s := range []*string{&st.want, &st.says, &st.led} {
		*s = r.Replace(*s)
	}
	for c := range st.components {
		st.components[c] = r.Replace(st.components[c])
	}
	for w := range st.web {
		at := &st.web[w]
		at.addr, at.host, at.conf = r.Replace(at.addr), r.Replace(at.host), r.Replace(at.conf)
		for n := range at.names {
			at.names[n] = r.Replace(at.names[n])
		}
		files := map[string]string{}
		for path, text := range at.files {
			files[path] = r.Replace(text)
		}
		at.files = files
	}
}

// A world has BIND as the resolver of everything, and nginx.
type world struct {
	t   *testing.T
	dir string
	ca  *testCA

	resolver string // of the discoverer
}

const resolver = "127.0.0.1:53"

// newWorld starts the servers of all stories.
func newWorld(t *testing.T, stories []story) *world {
	t.Helper()
	needNetwork(t)
	w := &world{t: t, dir: t.TempDir(), ca: newCA(t), resolver: resolver}
	if err := os.Chmod(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range stories {
		stories[i].fill(i)
	}
	w.startBIND(stories)
	w.startNginx(stories)
	return w
}

func (w *world) discoverer() *Discoverer {
	return patiently(Discoverer{Resolvers: []string{w.resolver}, Roots: w.ca.roots})
}

// patiently gives a discoverer the time that a busy machine needs, unless the
// test is about time.
func patiently(d Discoverer) *Discoverer {
	d.Query, d.Fetch, d.Limit = orElse(d.Query, 20*time.Second), orElse(d.Fetch, 30*time.Second), orElse(d.Limit, 5*time.Minute)
	return &d
}

const soa = "@ 300 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 120\n@ 300 IN NS ns.test.\n"

const bindOptions = `options {
	directory %q;
	listen-on %s;
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile "session.key";
	notify no;
	minimal-responses yes;
	servfail-ttl 0;
	%s
};
controls { };
`

// startBIND serves a root zone and a zone for each story.
func (w *world) startBIND(stories []story) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "named")
	var conf strings.Builder
	fmt.Fprintf(&conf, bindOptions, dir, "{ 127.0.0.1; }", "recursion yes; dnssec-validation no;")
	zone := func(name, text string) {
		write(w.t, filepath.Join(dir, name+".zone"), text)
		fmt.Fprintf(&conf, "zone %q { type primary; file %q; };\n", name, name+".zone")
	}
	zone("test", soa+"ns 300 IN A 127.0.0.1\n")
	anchors := ""
	for _, st := range stories {
		zone(st.domain, soa+st.zone)
		if st.signed {
			anchors += w.sign(st)
		}
		for _, name := range strings.Fields(st.broken) {
			zone(name+"."+st.domain, "; no SOA: the zone cannot be loaded\n")
		}
	}
	write(w.t, filepath.Join(dir, "named.conf"), conf.String())
	w.daemon(testutil.Program(w.t, "named"), "-g", "-c", filepath.Join(dir, "named.conf"))
	w.eventually("BIND has loaded every zone", func() bool {
		return answers(resolver, "test.", dns.TypeSOA) && !slices.ContainsFunc(stories, func(st story) bool {
			return !answers(resolver, dns.Fqdn(st.domain), dns.TypeSOA)
		})
	})
	if anchors != "" {
		w.startValidator(anchors)
	}
}

// answers tells whether a server knows of a name.
func answers(addr, name string, kind uint16) bool {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	c := dns.Client{Timeout: 300 * time.Millisecond}
	in, _, err := c.Exchange(m, addr)
	return err == nil && in.Rcode == dns.RcodeSuccess && len(in.Answer) > 0
}

// startNginx serves the files of all sites.
func (w *world) startNginx(stories []story) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "nginx")
	var servers strings.Builder
	last := ""
	for _, st := range stories {
		for i, at := range st.web {
			if len(at.names) == 0 {
				at.names = []string{at.host}
			}
			if at.until == 0 {
				at.until = time.Hour
			}
			id := fmt.Sprintf("%s-%d", st.domain, i)
			chain, key := w.ca.files(dir, id, w.ca.leaf(time.Now().Add(at.until), at.names...))
			root := filepath.Join(dir, id)
			write(w.t, filepath.Join(root, "index.html"), "hello\n")
			for path, text := range at.files {
				write(w.t, filepath.Join(root, path), text)
			}
			if !strings.Contains(at.addr, ":") {
				at.addr += ":443"
			}
			fmt.Fprintf(&servers, "server {\n listen %s ssl;\n server_name %s;\n ssl_certificate %s;\n ssl_certificate_key %s;\n root %s;\n %s\n}\n",
				at.addr, at.host, chain, key, root, at.conf)
			last = at.addr
		}
	}
	if last == "" {
		return
	}
	conf := filepath.Join(dir, "nginx.conf")
	write(w.t, conf, fmt.Sprintf(`daemon off;
user root;
pid %[1]s/pid;
error_log %[1]s/error.log;
worker_processes 2;
events {}
http {
	access_log off;
	server_names_hash_bucket_size 256;
	types { text/plain txt; text/html html; }
	default_type application/octet-stream;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c;
	uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
%[2]s
}
`, dir, servers.String()))
	w.daemon(testutil.Program(w.t, "nginx"), "-c", conf, "-e", dir+"/error.log")
	w.eventually("nginx listens", func() bool { return listens(last) })
}

func listens(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// daemon starts a server and ends it, by its id, with the test.
func (w *world) daemon(path string, args ...string) {
	w.t.Helper()
	log, err := os.CreateTemp(w.dir, filepath.Base(path)+"-*.log")
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	mortal(cmd)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); w.t.Failed() && err == nil {
			w.t.Logf("%s: %s", filepath.Base(path), text[max(0, len(text)-4000):])
		}
	})
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	testutil.Eventually(w.t, what, ok)
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
