package hooks

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// What follows is a double, not relayd(8), which runs on OpenBSD only. It
// follows the rules of relayd that matter here, as read in its source:
//
//   - A keypair NAME on port P is SSL/NAME:P.crt with SSL/private/NAME:P.key;
//     if there is no such .crt, SSL/NAME.crt with SSL/private/NAME.key.
//   - The first keypair is served when SNI is absent or unknown.
//   - A reload (SIGHUP) first drops the relays, their listeners and sessions.
//     If a file is missing then, it is only logged, and there are no relays.
//   - What is no PEM ends the process. A key of another certificate is not
//     noticed: the handshakes fail.
//   - "-n" opens the files and does not look into them.
//
// Its configuration is a file of lines: the directory SSL, the address to
// listen on, then one keypair a line.

// A double is the configuration of one relayd.
type double struct {
	ssl, listen string
	keypairs    []string
}

// relaydDouble is the program.
func relaydDouble(args []string) {
	check := args[0] == "-n"
	if check {
		args = args[1:]
	}
	d, err := readDouble(args[0])
	if err == nil {
		_, err = d.load()
	}
	if err != nil {
		fmt.Println("relayd double:", err)
		exit(1)
	}
	if check {
		fmt.Println("configuration OK")
		exit(0)
	}
	d.run(args[0])
}

func readDouble(path string) (double, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return double{}, err
	}
	lines := strings.Fields(string(data))
	return double{lines[0], lines[1], lines[2:]}, nil
}

// load opens the files and reads them.
func (d double) load() (pairs [][2][]byte, err error) {
	_, port, _ := net.SplitHostPort(d.listen)
	for _, name := range d.keypairs {
		if _, err := os.Stat(filepath.Join(d.ssl, name+":"+port+".crt")); err == nil {
			name += ":" + port // the .crt decides; the key has to follow
		}
		crt, err := os.ReadFile(filepath.Join(d.ssl, name+".crt"))
		if err != nil {
			return nil, fmt.Errorf("cannot load certificates for relay: %w", err)
		}
		key, err := os.ReadFile(filepath.Join(d.ssl, "private", name+".key"))
		if err != nil {
			return nil, fmt.Errorf("cannot load keys for relay: %w", err)
		}
		pairs = append(pairs, [2][]byte{crt, key})
	}
	return pairs, nil
}

// run serves until SIGTERM.
func (d double) run(config string) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	for {
		stop := func() {}
		pairs, err := d.load()
		if err == nil {
			stop, err = d.relay(pairs)
		}
		if err != nil {
			fmt.Println("log_debug:", err, "- no relays")
		}
		sig := <-signals
		stop() // purge before load
		if sig == syscall.SIGTERM {
			exit(0)
		}
		if d, err = readDouble(config); err != nil {
			fmt.Println("log_debug:", err, "- no relays")
			d = double{ssl: "/nonexistent", keypairs: []string{"none"}}
		}
	}
}

// relay listens and serves pairs until stopped.
func (d double) relay(pairs [][2][]byte) (stop func(), err error) {
	var conf tls.Config
	for _, p := range pairs {
		var cert tls.Certificate
		for rest := p[0]; ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			cert.Certificate = append(cert.Certificate, b.Bytes)
		}
		key, err := keypair.ParseKey(p[1])
		if err != nil || len(cert.Certificate) == 0 {
			fmt.Println("fatalx: bad PEM")
			exit(1)
		}
		cert.PrivateKey = key
		conf.Certificates = append(conf.Certificates, cert)
	}
	ln, err := net.Listen("tcp", d.listen)
	if err != nil {
		return nil, err
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if err := tls.Server(conn, &conf).Handshake(); err != nil {
				fmt.Println("handshake:", err)
			}
			conn.Close()
		}
	})
	return func() { ln.Close(); sessions.Wait() }, nil
}

// A relayd is a running double with the deployment for it.
type relayd struct {
	t       *testing.T
	config  string
	ssl     string
	at      probe.Endpoint
	process *exec.Cmd
	reloads string // a file with one line for each reload
	d       Deployment
	log     *strings.Builder
}

// startRelayd starts a double that has the given pairs, by the name of its
// keypair lines, in place.
func startRelayd(t *testing.T, names []string, have ...*keypair.Pair) *relayd {
	t.Helper()
	dir := safeDir(t)
	r := &relayd{
		t: t, config: filepath.Join(dir, "relayd.conf"), ssl: filepath.Join(dir, "ssl"), at: freePort(t),
		reloads: filepath.Join(dir, "reloads"), log: new(strings.Builder),
	}
	if err := os.MkdirAll(filepath.Join(r.ssl, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, p := range have {
		r.place(names[i], p)
	}
	r.configure(names[:len(have)]...)
	r.process = daemon(t, self(t), "relayd-double", r.config)
	if len(have) > 0 {
		eventually(t, "relayd serves", func() bool { return serves(t, r.at, have[0]) == nil })
	} else {
		eventually(t, "relayd listens", func() bool {
			conn, err := net.Dial("tcp", r.at.Addr())
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
	}
	r.configure(names...)
	r.d = Deployment{Name: "relayd", ChainMode: 0o644, KeyMode: 0o600} // as the preset
	r.d.Chain = filepath.Join(r.ssl, "{name}.crt")
	r.d.Key = filepath.Join(r.ssl, "private", "{name}.key")
	r.d.Owner, r.d.Group = strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())
	r.d.Check = []string{self(t), "relayd-double", "-n", r.config}
	r.reload("")
	r.d.Verify = endpoints(r.at)
	r.d.Log = textLog(r.log)
	return r
}

// configure writes the configuration, with these keypair lines.
func (r *relayd) configure(names ...string) {
	r.t.Helper()
	write(r.t, r.config, r.ssl+"\n"+r.at.Addr()+"\n"+strings.Join(names, "\n")+"\n")
}

// reload makes the deployment reload relayd, after a line of shell.
func (r *relayd) reload(first string) {
	r.t.Helper()
	body := first + "\necho $KEYPAIRD_EVENT >>" + r.reloads + "\nkill -HUP " + strconv.Itoa(r.process.Process.Pid)
	r.d.Reload = []string{script(r.t, body)}
}

// place puts p where the keypair name is looked for. A reload may be under way:
// whole files only, or relayd ends over half of one.
func (r *relayd) place(name string, p *keypair.Pair) {
	r.t.Helper()
	for path, data := range map[string][]byte{r.crt(name): p.FullChain(), r.key(name): p.Key()} {
		write(r.t, path+".new", string(data))
		if err := os.Rename(path+".new", path); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *relayd) crt(name string) string { return filepath.Join(r.ssl, name+".crt") }
func (r *relayd) key(name string) string { return filepath.Join(r.ssl, "private", name+".key") }

// holds fails unless p is in the files of name, and nothing beside them.
func (r *relayd) holds(name string, p *keypair.Pair) {
	r.t.Helper()
	if text(r.t, r.crt(name)) != string(p.FullChain()) {
		r.t.Errorf("%s.crt is not the pair it should be", name)
	}
	if text(r.t, r.key(name)) != string(p.Key()) {
		r.t.Errorf("%s.key is not the pair it should be", name)
	}
	noLeftovers(r.t, r.ssl, filepath.Join(r.ssl, "private"))
}

// shows fails unless relayd serves p. It may be under way to a reload that
// changes nothing, and not listen for a moment.
func (r *relayd) shows(p *keypair.Pair) {
	r.t.Helper()
	eventually(r.t, "relayd serves "+p.Fingerprint()[:16], func() bool { return serves(r.t, r.at, p) == nil })
}

// reloaded fails unless the reloads were for these events.
func (r *relayd) reloaded(want ...string) {
	r.t.Helper()
	got := strings.Fields(strings.TrimPrefix(text(r.t, r.reloads), "(none)"))
	if strings.Join(got, " ") != strings.Join(want, " ") {
		r.t.Errorf("reloads = %q, want %q", got, want)
	}
}
