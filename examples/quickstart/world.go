package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"keypaird/acme/acmetest"
)

// A world is the servers around keypaird, and one directory for all files.
type world struct {
	dir        string
	ca         *acmetest.CA
	ns         *acmetest.DNS
	proxy      *proxy
	config     string // file
	configText string
}

// newWorld starts the servers. Close stops them, also after an error.
func newWorld(ctx context.Context, dir string) (*world, error) {
	w := &world{dir: dir, config: filepath.Join(dir, "keypaird.toml")}
	key := acmetest.NewTSIGKey("keypaird", "_acme-challenge.example.org")
	if err := key.WriteTSIGFile(filepath.Join(dir, "tsig")); err != nil {
		return w, err
	}
	var err error
	w.ns, err = acmetest.StartDNS(acmetest.DNSOptions{
		Zones: []string{"example.org"},
		Records: []string{
			"example.org        60 A 127.0.0.2",
			"matrix.example.org 60 A 127.0.0.1",
		},
		Keys: []acmetest.TSIGKey{key},
	})
	if err != nil {
		return w, err
	}
	if w.ca, err = acmetest.StartCA(acmetest.Options{Dir: dir, DNS: w.ns.Addr}); err != nil {
		return w, err
	}
	if err := os.Mkdir(filepath.Join(dir, "tls"), 0o700); err != nil {
		return w, err
	}
	if w.proxy, err = startProxy(ctx, filepath.Join(dir, "tls")); err != nil {
		return w, err
	}
	w.configText = w.configuration()
	return w, os.WriteFile(w.config, []byte(w.configText), 0o600)
}

// configuration returns the configuration: the first part as an operator would write
// it, the second for the servers of this example.
func (w *world) configuration() string {
	file := func(name string) string { return filepath.Join(w.dir, name) }
	user := ""
	if os.Geteuid() == 0 { // keypaird-dns has one of its own then, _keypaird-dns by default
		user = "user      = \"nobody\"\n"
	}
	return fmt.Sprintf(`email     = "hostmaster@example.org"
state     = %q
sign_with = ["pebble"]

[dns.ns]
provider  = "rfc2136"
env       = { RFC2136_NAMESERVER = %q, RFC2136_TSIG_FILE = %q }
%sresolvers = [%q]

[identity."example.org"]
host   = "matrix.example.org"
dns    = "ns"
deploy = ["proxy"]

# The CA, the proxy and the ports of this example.
[ca.pebble]
directory = %q
roots     = %q
[http-01]
listen = "127.0.0.1:%d"
self_test = false
[deploy.proxy]
chain  = %q
key    = %q
reload = [%s]
verify = [%q]
`, file("state"), w.ns.Addr, file("tsig"), user, w.ns.Addr,
		w.ca.Directory, w.ca.Roots, w.ca.HTTPPort,
		file("tls/{name}.crt"), file("tls/{name}.key"), quoted(w.proxy.reload()), w.proxy.addr)
}

func quoted(words []string) string {
	var q []string
	for _, w := range words {
		q = append(q, fmt.Sprintf("%q", w))
	}
	return strings.Join(q, ", ")
}

// Close stops the servers that were started.
func (w *world) Close() error {
	var errs []error
	if w.proxy != nil {
		errs = append(errs, w.proxy.Close())
	}
	if w.ca != nil {
		errs = append(errs, w.ca.Close())
	}
	if w.ns != nil {
		errs = append(errs, w.ns.Close())
	}
	return errors.Join(errs...)
}
