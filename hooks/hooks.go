// Package hooks brings new pairs to the servers that use them, and back again
// if that goes wrong.
//
// A [Deployment] describes one server; package preset has some ready.
// [Deployment.Deploy] carries any number of targets' pairs there in one go:
//
//	write files -> check -> reload -> verify
//
// and when a step fails, it puts the previous pairs back. It keeps no state:
// a deployment that was interrupted or killed at any point is put right by the
// next one. [Command] is the way programs are run, for others too.
//
// A Deployment is a [renew.Deployer]. The package knows nothing of ACME, of the
// store or of the configuration.
package hooks

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew"
)

// A Deployment is one server that uses pairs: its files, how it learns that
// they have changed, and where it can be seen to serve them.
type Deployment struct {
	Name string // for messages

	// Files to write, absolute. "{name}" is the target's name, with "_wildcard."
	// for "*.". Empty: not written. A deployment that writes none reads the
	// store itself.
	Chain    string // the certificate and its chain
	Key      string // the private key
	Combined string // key, certificate and chain in one file

	Owner, Group string      // of the files, by name or number; empty: whoever we are
	ChainMode    fs.FileMode // zero means 0644
	KeyMode      fs.FileMode // of Key and Combined; zero means 0600

	Check  []string // a program and its arguments, run with the new files in place; empty: none
	Reload []string // likewise, to make the server read them; empty: it notices by itself
	Socket string   // haproxy's stats socket, absolute, with level admin; tried before Reload; empty: none
	// Reloads is how often Reload may have to be run until the server has read
	// everything; it is run again only if Verify shows that it was not enough.
	// Zero means once.
	Reloads int
	// Restart is run on the way back, if the previous pair is not served after
	// Reload but was served before: some servers do not survive a pair they
	// cannot use. Without Verify nobody knows, and it is not run. Empty: none.
	Restart []string

	// Single: the server presents one certificate whatever name it is asked for.
	Single bool
	// Scans is how deep the server looks for certificates beside Chain or
	// Combined: 1 in that directory only, 3 two levels below it too. An old one
	// there may be served instead of the new one. Zero: it uses those it is given.
	Scans int

	// Verify is where the new leaf must be served, for every name. A name is not
	// demanded at an endpoint that does not know it, and did not before the
	// deployment; but each must serve some. Empty: none.
	Verify   []probe.Endpoint
	Patience time.Duration // with a server that does not serve it; zero means 15 s, or Timeout if that is less
	Timeout  time.Duration // of each command; zero means DefaultTimeout
	Log      *slog.Logger  // nil: nothing is logged
}

// leastLeft is how long a pair must be good for to go back to, where nobody says
// when the next try comes.
const leastLeft = 15 * time.Minute

// Paths returns every file the deployment writes for the target name.
func (d *Deployment) Paths(name string) []string {
	var paths []string
	for _, template := range []string{d.Chain, d.Key, d.Combined} {
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
	list := make([]string, len(d.Verify))
	for i, e := range d.Verify {
		list[i] = e.String()
	}
	return list
}

// Spec implements renew.Deployer.
func (d *Deployment) Spec(target string) renew.DeploySpec {
	h := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %o %o %q %q %q %v", d.Chain, d.Key, d.Combined,
		d.Owner, d.Group, d.ChainMode, d.KeyMode, d.Check, d.Reload, d.Socket, d.Verify))
	spec := renew.DeploySpec{ConfigHash: hex.EncodeToString(h[:8])}
	for _, file := range d.Paths(target) {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			spec.FilesMissing = true
		}
	}
	return spec
}

// writes reports whether the deployment has files of its own.
func (d *Deployment) writes() bool { return d.Chain != "" || d.Key != "" || d.Combined != "" }

// timeout is Timeout or its default.
func (d *Deployment) timeout() time.Duration {
	if d.Timeout <= 0 {
		return DefaultTimeout
	}
	return d.Timeout
}

// expand fills a path template in.
func expand(template, name string) string {
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name = "_wildcard." + rest
	}
	return filepath.Clean(strings.ReplaceAll(template, "{name}", name))
}
