package dns01

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"keypaird/renew/testutil"
)

// A bind is a real BIND 9, primary of example.org, that takes updates signed
// with the keys "host" and "mail". Each may change some TXT records only.
type bind struct {
	addr string
	dir  string
}

const bindZone = `$TTL 60
@ IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
@ IN NS ns.example.org.
ns IN A 127.0.0.1
_acme-challenge IN TXT "of another host"
_acme-challenge.www IN CNAME www.acme.example.org.
*.w IN CNAME proxy.elsewhere.example.
_acme-challenge.covered IN CNAME covered.w
`

// Its wildcard leads every name to the apex.
const bindWildZone = `$TTL 60
@ IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
@ IN NS ns.example.org.
@ IN TXT "v=spf1 -all"
* IN CNAME @
`

const bindConf = `options {
	directory "%[1]s";
	listen-on port %[2]s { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile "%[1]s/session.key";
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
include "%[1]s/host.key";
include "%[1]s/mail.key";
zone "example.org" {
	type primary;
	file "example.org.zone";
	update-policy {
		grant host name _acme-challenge.example.org. TXT;
		grant host name www.acme.example.org. TXT;
		grant host name _acme-challenge.w.example.org. TXT;
		grant host name covered.w.example.org. TXT;
		grant mail name _acme-challenge.mail.example.org. TXT;
	};
};
zone "wild.example.org" {
	type primary;
	file "wild.example.org.zone";
	update-policy {
		grant host name _acme-challenge.wild.example.org. TXT;
		grant host name _acme-challenge.a.wild.example.org. TXT;
	};
};
`

const (
	hostSecret = "TCG5A6/lOHUGbW0e/9RYYbzWDFMlj1pIxCvybLBayBg="
	mailSecret = "YWJjZGVmZGdoaWprbG1ub3BxcnN0dXZ3eHl6MTIzNDU="
)

func keyFile(name, secret string) string {
	return fmt.Sprintf("key \"%s\" {\n\talgorithm hmac-sha256;\n\tsecret \"%s\";\n};\n", name, secret)
}

func startBIND(t *testing.T) *bind {
	t.Helper()
	program := testutil.Program(t, "named")
	b := &bind{dir: t.TempDir()}
	for range 5 { // the port may be taken in between
		b.addr = freePort(t)
		_, port, _ := net.SplitHostPort(b.addr)
		for file, text := range map[string]string{
			"example.org.zone": bindZone, "wild.example.org.zone": bindWildZone, "named.conf": fmt.Sprintf(bindConf, b.dir, port),
			"host.key": keyFile("host", hostSecret), "mail.key": keyFile("mail", mailSecret),
		} {
			if err := os.WriteFile(filepath.Join(b.dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if b.run(t, program) {
			return b
		}
	}
	t.Fatal("BIND does not start")
	return nil
}

// run starts BIND and reports whether it serves.
func (b *bind) run(t *testing.T, program string) bool {
	t.Helper()
	cmd := exec.Command(program, "-g", "-c", filepath.Join(b.dir, "named.conf"))
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running := make(chan bool, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		lines := bufio.NewScanner(says)
		for lines.Scan() {
			switch text := lines.Text(); {
			case strings.HasSuffix(text, "running"):
				running <- true
			case strings.Contains(text, "address in use"), strings.Contains(text, "fatal"), strings.Contains(text, "exiting"):
				t.Log(text)
			}
		}
		running <- false
	})
	stop := func() {
		_ = cmd.Process.Kill()
		wg.Wait()
		_ = cmd.Wait()
	}
	if <-running && b.serves() {
		t.Cleanup(stop)
		return true
	}
	stop()
	return false
}

func (b *bind) serves() bool {
	for range 100 {
		m := new(dns.Msg).SetQuestion("example.org.", dns.TypeSOA)
		if in, err := dns.Exchange(m, b.addr); err == nil && len(in.Answer) == 1 {
			return true
		}
		<-time.After(20 * time.Millisecond)
	}
	return false
}

var freePort = testutil.FreeAddr

// txt returns the TXT records of a name.
func (b *bind) txt(t *testing.T, name string) string {
	t.Helper()
	in, err := dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), b.addr)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, rr := range in.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			list = append(list, strings.Join(txt.Txt, ""))
		}
	}
	return strings.Join(list, "|")
}

// account returns an account with the key "host" or "mail".
func (b *bind) account(t *testing.T, key string) *Account {
	t.Helper()
	a := &Account{
		Name: key, Provider: "rfc2136", Child: leanChild(t), Log: logOf(t),
		System: []string{b.addr}, Port: portOf(t, b.addr), Propagation: 20 * time.Second,
		Env: map[string]string{"RFC2136_NAMESERVER": b.addr, "RFC2136_TSIG_FILE": filepath.Join(b.dir, key+".key")},
	}
	closed(t, a)
	return a
}

// closed closes the account at the end of the test.
func closed(t *testing.T, a *Account) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := a.Close(ctx); errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
