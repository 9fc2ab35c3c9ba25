package servers

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/acme/acmetest"
)

// The names of every test: the plain domain is elsewhere, so only DNS can prove
// it, and the host is this machine.
const plain, host = "example.org", "chat.example.org"

const namedConf = `options {
	directory "/mnt/named";
	listen-on { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile "session.key";
	recursion yes;
	dnssec-validation no;
	notify no;
	empty-zones-enable no;
};
controls { };
include "host.key";
zone "." { type primary; file "root"; };
zone "example.org" { type primary; file "zone"; update-policy {
	grant host name _acme-challenge.example.org. TXT;
	grant host name _acme-challenge.conference.example.org. TXT;
}; };
`

const rootZone = `$TTL 1
. IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
. IN NS ns.example.org.
ns.example.org. IN A 127.0.0.1
`

const zone = `$TTL 1
@    IN SOA ns hostmaster 1 3600 600 86400 60
@    IN NS  ns
@    IN A   192.0.2.1
ns   IN A   127.0.0.1
chat IN A   127.0.0.1
conference IN A 192.0.2.1
_matrix-fed._tcp IN SRV 5 0 8448 chat
_xmpp-client._tcp IN SRV 5 0 5222 chat
_xmpp-server._tcp IN SRV 5 0 5269 chat
_xmpp-server._tcp.conference IN SRV 5 0 5269 chat
`

// startDNS starts BIND, whose key is in host.key of its directory.
func startDNS(t *testing.T) {
	t.Helper()
	dir := filepath.Join(ours, "named")
	write(t, filepath.Join(dir, "named.conf"), namedConf)
	write(t, filepath.Join(dir, "root"), rootZone)
	write(t, filepath.Join(dir, "zone"), zone)
	if err := acmetest.NewTSIGKey("host").WriteTSIGFile(filepath.Join(dir, "host.key")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), located(t, "named"), "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running, ended := make(chan bool, 1), make(chan struct{})
	var log strings.Builder // of the goroutine until it has ended
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(says); lines.Scan(); {
			log.WriteString(lines.Text() + "\n")
			if strings.HasSuffix(lines.Text(), " running") {
				running <- true
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	select {
	case <-running:
	case <-ended:
		t.Fatal("BIND does not start")
	case <-time.After(startTimeout):
		t.Fatalf("BIND does not start within %v", startTimeout)
	}
}

// startCA starts Pebble and returns the head of a configuration that has it
// sign. What it signs is trusted by root.pem.
func startCA(t *testing.T) (head string) {
	t.Helper()
	ca, err := acmetest.StartCA(acmetest.Options{Dir: ours, DNS: "127.0.0.1:53", HTTPPort: 80})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	if err := os.WriteFile(rootFile, ca.RootPEM(0), 0o644); err != nil {
		t.Fatal(err)
	}
	return `sign_with = ["pebble"]
[ca.pebble]
directory = ` + quote(ca.Directory) + `
roots     = ` + quote(ca.Roots) + `
[dns.ns]
provider = "rfc2136"
env = { RFC2136_NAMESERVER = "127.0.0.1:53", RFC2136_TSIG_FILE = "/mnt/named/host.key" }
user = "nobody"
`
}

// rootFile is what the client trusts.
const rootFile = ours + "/root.pem"
