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
// The package knows nothing of ACME, of the store or of the configuration.
package hooks

import (
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// A Deployment is one server that uses pairs: its files, how it is told that
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
	// there may be served instead of the new one. Zero: it takes those it is told.
	Scans int

	Verify   []probe.Endpoint // where the new leaf must be served, for every name; empty: nowhere
	Patience time.Duration    // with a server that does not serve it; zero means 15 s, or Timeout if that is less
	Timeout  time.Duration    // of each command; zero means DefaultTimeout
	Log      *slog.Logger     // nil: nothing is logged
}

// A Change is one target's new pair on its way to a deployment.
type Change struct {
	Name  string   // of the target
	Names []string // New must be for exactly these; empty: whatever it is for
	New   *keypair.Pair
	Dir   string // of the new version, for the environment of commands

	// What to go back to; nil: nothing is known.
	Previous *keypair.Pair
	// Restore makes Previous the live version again. It is called instead of
	// writing files by a deployment that writes none; may be nil.
	Restore func() error

	// This pair was installed and reloaded before and only not verified: look
	// first, and do the rest only if it is not served.
	Deployed bool
}

// The steps of a deployment, in order.
const (
	StepInstall = "install" // verify the pair, write the files
	StepCheck   = "check"
	StepReload  = "reload" // or haproxy's socket
	StepVerify  = "verify"
)

// An Error reports a deployment that failed, and how things stand now.
type Error struct {
	Deployment string
	Step       string
	Err        error // what failed

	// The previous pairs are in place again. If the server had been told of
	// the new ones, it has been told of that too, unless RollbackErr.
	RolledBack  bool
	Restarted   bool  // Reload was not enough for that, Restart was
	RollbackErr error // what failed on the way back
	// Files and reload took effect and were not taken back: only verification
	// is missing.
	Installed bool
	// The targets that failed. After StepVerify, others of the same call may
	// be in place and verified.
	Failed []string
}

func (e *Error) Error() string {
	s := e.Err.Error()
	if e.Step == StepVerify {
		s = "verifying: " + s
	}
	switch {
	case e.RolledBack && e.RollbackErr != nil:
		return s + "; the previous pair is back in place, but " + e.RollbackErr.Error()
	case e.RollbackErr != nil:
		return s + "; going back to the previous pair failed too: " + e.RollbackErr.Error()
	case e.Restarted:
		return s + "; the previous pair is back in place, and the server was restarted for it"
	case e.RolledBack:
		return s + "; the previous pair is back in place"
	case e.Installed:
		return s + "; the new pair stays in place"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *Error) Remedy() string {
	if remedy := problem.Remedy(e.Err); remedy != "" {
		return remedy
	}
	if e.Step == StepVerify {
		return "see in the server's log whether it took the new pair, and whether it listens where verify of [deploy." + e.Deployment + "] says, then: keypaird issue"
	}
	return "correct [deploy." + e.Deployment + "] in the configuration, then: keypaird issue"
}

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

// writes tells whether the deployment has files of its own.
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
