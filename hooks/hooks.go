package hooks

import (
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/command"
	"keypaird/hooks/expect"
	"keypaird/renew/keypair/pkcs12"
)

// A Deployment is one server that uses pairs: its files, the commands that make it
// load them, and the endpoints at which it serves them.
type Deployment struct {
	Name string // for messages

	// Files to write, absolute. "{name}" is the target's name, with "_wildcard."
	// for "*.". Empty: not written. A deployment that writes none reads the
	// store itself.
	Chain    string // the certificate and its chain
	Key      string // the private key
	Combined string // key, certificate and chain in one file

	Leaf          string // the certificate alone, for servers that want it so
	Intermediates string // the chain without the certificate

	PKCS12         string            // key and chain, encrypted with a password
	PasswordFile   string            // of PKCS12, absolute; required with it
	PKCS12Encoding pkcs12.Encryption // zero means pkcs12.Modern

	Owner, Group string      // of the files, by name or number; empty: those of this process
	ChainMode    fs.FileMode // of Chain, Leaf and Intermediates; zero means 0644
	KeyMode      fs.FileMode // of Key, Combined and PKCS12; zero means 0600

	Check  []string // a program and its arguments, run with the new files in place; empty: none
	Reload []string // likewise, to make the server read them; empty: it notices the change
	Socket string   // haproxy's stats socket, absolute, with level admin; tried before Reload; empty: none
	// Reloads is how often Reload is run at most until the server has read all
	// files; it is run again only if Verify fails. Zero means once.
	Reloads int
	// Restart is run in a rollback, if the previous pair is not served after Reload
	// but was served before: some servers do not survive a pair they cannot use.
	// It needs Verify. Empty: none.
	Restart []string

	// Single: the server presents one certificate for all names.
	Single bool
	// Scans is how deep the server scans the directory of Chain or Combined for
	// certificates: 1 in that directory only, 3 two levels below it too. It may
	// serve an old one there instead of the new one. Zero: it does not scan.
	Scans int

	// Verify lists the endpoints that must serve the new leaf for the names that are
	// expected there. An endpoint need not serve a name that it did not serve before
	// the deployment, but it must serve one. Empty: none.
	Verify   []expect.Endpoint
	Patience time.Duration // with a server that does not serve it; zero means 15 s, or Timeout if that is less
	Timeout  time.Duration // of each command; zero means command.DefaultTimeout
	Log      *slog.Logger  // nil: nothing is logged
}

// leastLeft is how long a pair must still be valid for a rollback to it, if NextTry
// is not set.
const leastLeft = 15 * time.Minute

// Paths implements renew.Deployer.
func (d *Deployment) Paths(name string) []string {
	var paths []string
	for _, template := range []string{d.Chain, d.Key, d.Combined, d.Leaf, d.Intermediates, d.PKCS12} {
		if template != "" {
			paths = append(paths, expand(template, name))
		}
	}
	return paths
}

// String implements renew.Deployer.
func (d *Deployment) String() string { return d.Name }

// Endpoints implements renew.Deployer.
func (d *Deployment) Endpoints() []string {
	var list []string
	for _, e := range d.Verify {
		if at := e.Endpoint.String(); !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

// writes reports whether the deployment has files of its own.
func (d *Deployment) writes() bool { return len(d.Paths("")) > 0 }

// timeout returns Timeout or its default.
func (d *Deployment) timeout() time.Duration {
	if d.Timeout <= 0 {
		return command.DefaultTimeout
	}
	return d.Timeout
}

// expand replaces {name} in a path template.
func expand(template, name string) string {
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name = "_wildcard." + rest
	}
	return filepath.Clean(strings.ReplaceAll(template, "{name}", name))
}
