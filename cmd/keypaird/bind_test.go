package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// zones are what the DNS server of a story knows at first: it is the resolver
// too, so it has a root. Its keys: "host" may change challenge records of
// example.org, "other" those of example.net and what is delegated to
// acme.example.net, "admin" everything.
var zones = map[string]string{
	".": `
.                  IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
.                  IN NS  ns.example.org.
ns.example.org.    IN A   127.0.0.1
`,
	"example.org": `
@                  IN SOA ns hostmaster 1 3600 600 86400 60
@                  IN NS  ns
@                  IN A   192.0.2.1
ns                 IN A   127.0.0.1
matrix             IN A   127.0.0.1
mail               IN A   127.0.0.1
conference         IN A   192.0.2.1
_acme-challenge.www IN CNAME www.acme.example.net.
`,
	"example.net": `
@                  IN SOA ns hostmaster 1 3600 600 86400 60
@                  IN NS  ns
@                  IN A   192.0.2.1
ns                 IN A   127.0.0.1
`,
}

func keys() []acmetest.TSIGKey {
	list := []acmetest.TSIGKey{
		acmetest.NewTSIGKey("host", "_acme-challenge.example.org", "_acme-challenge.matrix.example.org",
			"_acme-challenge.mail.example.org", "_acme-challenge.conference.example.org", "_acme-challenge.upload.example.org"),
		acmetest.NewTSIGKey("other", "_acme-challenge.example.net", "www.acme.example.net"),
		acmetest.NewTSIGKey("admin"),
	}
	list[1].Secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGx//+h8=" // not a comment in it
	return list
}

// A nameserver is BIND 9, or where it is not to be had, acmetest's small one.
type nameserver struct {
	addr  string
	admin acmetest.TSIGKey
	txt   func() ([]string, error) // challenge records: "name value"
	stop  func()
}

// startDNS starts the DNS server of the story and leaves the keys in files.
func (w *world) startDNS() error {
	n := &nameserver{addr: w.vars["DNS"]}
	list := keys()
	for _, k := range list {
		if err := k.WriteTSIGFile(w.file(k.Name + ".key")); err != nil {
			return err
		}
	}
	n.admin = list[len(list)-1]
	w.vars["HOST_SECRET"] = list[0].Secret
	start := n.startSmall
	if lacking("named") == nil || testutil.Required() {
		start = func(list []acmetest.TSIGKey) error { return n.startBIND(w.file("named"), w.own, list) }
	}
	if err := start(list); err != nil {
		return err
	}
	w.ns = n
	w.later(n.stop)
	return nil
}

const namedOptions = `options {
	directory %[1]q;
	listen-on port %[2]s { %[3]s; };
	listen-on-v6 %[4]s;
	pid-file none;
	session-keyfile "session.key";
	recursion yes;
	dnssec-validation no;
	notify no;
	allow-transfer { any; };
};
controls { };
`

// startBIND starts BIND 9 with a policy for each key.
func (n *nameserver) startBIND(dir string, own bool, list []acmetest.TSIGKey) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(n.addr)
	addresses, six := "127.0.0.1", "{ none; }"
	if own {
		addresses, six = "any", "{ any; }"
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, namedOptions, dir, port, addresses, six)
	for _, k := range list {
		if err := k.WriteTSIGFile(filepath.Join(dir, k.Name+".key")); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "include \"%s.key\";\n", k.Name)
	}
	for zone, text := range zones {
		if err := os.WriteFile(filepath.Join(dir, "zone-"+zone), []byte("$TTL 1\n"+text), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "zone %q { type primary; file %q; update-policy {\n", zone, "zone-"+zone)
		for _, k := range list {
			for _, name := range k.Names {
				if dns.IsSubDomain(zone, name) {
					fmt.Fprintf(&conf, "\tgrant %s name %s. TXT;\n", k.Name, name)
				}
			}
		}
		conf.WriteString("\tgrant admin zonesub ANY;\n}; };\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "named.conf"), []byte(conf.String()), 0o644); err != nil {
		return err
	}
	n.txt = n.transfer
	return n.run(exec.Command("named", "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf")))
}

// run starts BIND and waits until it says that it runs.
func (n *nameserver) run(cmd *exec.Cmd) error {
	says, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	running, read := make(chan bool, 1), make(chan struct{})
	var log strings.Builder
	go func() { // ends with BIND; stop waits for it
		defer close(read)
		for lines := bufio.NewScanner(says); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if strings.HasSuffix(lines.Text(), " running") {
				running <- true
			}
		}
	}()
	n.stop = func() {
		cmd.Process.Kill()
		<-read
		cmd.Wait()
	}
	select {
	case <-running:
		return nil
	case <-read:
	case <-time.After(30 * time.Second):
	}
	n.stop()
	return fmt.Errorf("BIND does not start:\n%s", log.String())
}

// startSmall starts acmetest's server with the same records and keys.
func (n *nameserver) startSmall(list []acmetest.TSIGKey) error {
	o := acmetest.DNSOptions{Addr: n.addr, Keys: list}
	for zone, text := range zones {
		o.Zones = append(o.Zones, zone)
		parser := dns.NewZoneParser(strings.NewReader("$TTL 1\n"+text), dns.Fqdn(zone), "")
		for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
			o.Records = append(o.Records, rr.String())
		}
	}
	small, err := acmetest.StartDNS(o)
	if err != nil {
		return err
	}
	n.txt = func() ([]string, error) { return challenges(small.TXT()), nil }
	n.stop = func() { small.Close() }
	return nil
}

// challenges leaves out records that are not of challenges.
func challenges(list []string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return strings.HasPrefix(s, "_validation-persist.") })
}

// transfer reads all zones and lists their challenge records.
func (n *nameserver) transfer() ([]string, error) {
	var list []string
	for zone := range zones {
		answers, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr(dns.Fqdn(zone)), n.addr)
		if err != nil {
			return nil, err
		}
		for a := range answers {
			if a.Error != nil {
				return nil, a.Error
			}
			for _, rr := range a.RR {
				if txt, ok := rr.(*dns.TXT); ok {
					list = append(list, strings.TrimSuffix(txt.Hdr.Name, ".")+" "+strings.Join(txt.Txt, ""))
				}
			}
		}
	}
	slices.Sort(list)
	return challenges(list), nil
}

// change makes an update as the zone's administrator would: one record comes,
// or those of a type go.
func (n *nameserver) change(add bool, line string) error {
	rr, err := dns.NewRR(line)
	if err != nil || rr == nil {
		return fmt.Errorf("record %q: %w", line, errors.Join(err, errors.New("not a record")))
	}
	zone := "."
	for z := range zones {
		if z = dns.Fqdn(z); len(z) > len(zone) && dns.IsSubDomain(z, rr.Header().Name) {
			zone = z
		}
	}
	m := new(dns.Msg).SetUpdate(zone)
	if add {
		m.Insert([]dns.RR{rr})
	} else {
		m.RemoveRRset([]dns.RR{rr})
	}
	m.SetTsig(n.admin.Name+".", dns.HmacSHA256, 300, time.Now().Unix())
	client := dns.Client{Net: "tcp", TsigSecret: map[string]string{n.admin.Name + ".": n.admin.Secret}}
	in, _, err := client.Exchange(m, n.addr)
	if err == nil && in.Rcode != dns.RcodeSuccess {
		err = errors.New(dns.RcodeToString[in.Rcode])
	}
	if err != nil {
		return fmt.Errorf("changing %q: %w", line, err)
	}
	return nil
}

// startSecond gives example.org a second name server, which has what is in the
// zone now and learns nothing new by itself.
func (w *world) startSecond() error {
	addr := "127.0.0.2:53"
	if !w.own {
		port, err := acmetest.FreePort()
		if err != nil {
			return err
		}
		addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		w.vars["RESOLVERS"] = fmt.Sprintf("resolvers = [%q, %q]", w.ns.addr, addr)
	}
	for _, line := range []string{"ns2.example.org. 1 IN A 127.0.0.2", "example.org. 1 IN NS ns2.example.org."} {
		if err := w.ns.change(true, line); err != nil {
			return err
		}
	}
	var err error
	w.second, err = acmetest.StartDNS(acmetest.DNSOptions{Addr: addr, Zones: []string{"example.org"}})
	if err == nil {
		w.later(func() { w.second.Close() })
	}
	return err
}
