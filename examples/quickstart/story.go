package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// names are the names of the two certificates.
var names = []string{"example.org", "matrix.example.org"}

// Exit statuses of keypaird issue.
const (
	changed = 0
	nothing = 2
)

// dialTimeout bounds each connection to the proxy.
const dialTimeout = 5 * time.Second

// run runs the whole example and describes it on out.
func run(ctx context.Context, out io.Writer) (err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "keypaird-quickstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	// As root, keypaird starts keypaird-dns as another user, who must reach it.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	fmt.Fprint(out, `keypaird: one server that must serve two names.
@ann:example.org talks to matrix.example.org, so peers expect either name, and
each needs a certificate of its own. All that follows is on loopback and in
`, dir, ".\n")

	fmt.Fprint(out, "\n1. Build keypaird and keypaird-dns, its child for DNS providers. The first\n   time, this takes a minute.\n")
	if err := build(ctx, dir); err != nil {
		return err
	}

	fmt.Fprint(out, "\n2. Start a CA, a DNS server and a proxy.\n")
	w, err := newWorld(ctx, dir)
	defer func() { err = errors.Join(err, w.Close()) }()
	if err != nil {
		return fmt.Errorf("starting the servers: %w", err)
	}
	w.describe(out)

	fmt.Fprintf(out, "\n3. Write the configuration, %s.\n\n", w.config)
	indent(out, w.configText)

	fmt.Fprint(out, "\n4. Run it: each name has its own challenge type, and the proxy gets the pairs.\n\n")
	if err := w.issue(ctx, out, changed); err != nil {
		return err
	}

	fmt.Fprint(out, "\n5. Connect to the proxy for each name, and trust only the CA's root.\n\n")
	for _, name := range names {
		if err := w.verify(ctx, out, name); err != nil {
			return err
		}
	}
	if left := w.ns.TXT(); len(left) > 0 {
		return fmt.Errorf("challenge records are left in the zone: %q", left)
	}

	fmt.Fprint(out, "\n6. Run it again, as cron would: nothing is due.\n\n")
	if err := w.issue(ctx, out, nothing); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThat is all, in %.1f s. On a real host it is the first part of that\nconfiguration, and keypaird run, the daemon.\n", time.Since(start).Seconds())
	return nil
}

// build compiles both programs into dir.
func build(ctx context.Context, dir string) error {
	// The lean child has a dozen providers, which compile in seconds.
	for _, args := range [][]string{
		{"build", "-o", dir, "keypaird/cmd/keypaird"},
		{"build", "-o", dir, "-tags", "lean", "keypaird/cmd/keypaird-dns"},
	} {
		if output, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, output)
		}
	}
	return nil
}

// describe lists the servers and addresses.
func (w *world) describe(out io.Writer) {
	fmt.Fprintf(out, `
   CA     %-32s Pebble, which validates for real
   DNS    %-32s zone example.org, takes signed updates
   proxy  %-32s chooses a pair by name, none so far

   matrix.example.org  is 127.0.0.1, this server: http-01 works
   example.org         is 127.0.0.2, no server: only dns-01 works
`, w.ca.Directory, w.ns.Addr, w.proxy.addr)
}

// issue runs keypaird issue, which must exit with status want.
func (w *world) issue(ctx context.Context, out io.Writer, want int) error {
	args := []string{"-config", w.config, "issue"}
	fmt.Fprintf(out, "   $ keypaird %s\n", strings.Join(args, " "))
	start := time.Now()
	cmd := exec.CommandContext(ctx, filepath.Join(w.dir, "keypaird"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it removes the records it published
	cmd.WaitDelay = 15 * time.Second
	output, err := cmd.CombinedOutput()
	indent(out, string(output))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running keypaird: %w", err)
	}
	status := cmd.ProcessState.ExitCode()
	if status != want {
		return fmt.Errorf("keypaird issue ended with status %d, not %d; its output is above", status, want)
	}
	fmt.Fprintf(out, "   exit status %d (%s) after %.2f s\n", status,
		map[int]string{changed: "changed", nothing: "nothing to do"}[status], time.Since(start).Seconds())
	return nil
}

// verify connects to the proxy as a client for a name, and describes the certificate.
func (w *world) verify(ctx context.Context, out io.Writer, name string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: w.ca.RootPool(0)}}
	conn, err := dialer.DialContext(ctx, "tcp", w.proxy.addr)
	if err != nil {
		return fmt.Errorf("asking the proxy for %s: %w", name, err)
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	challenges, err := w.ca.Challenges(leaf)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "   %-18s  verified: for %s, by %s,\n   %18s  until %s, validated by %s\n", name,
		strings.Join(leaf.DNSNames, " "), leaf.Issuer.CommonName, "",
		leaf.NotAfter.Format(time.DateOnly), challenges[name])
	return nil
}

// indent prints text three columns in.
func indent(out io.Writer, text string) {
	for line := range bytes.Lines([]byte(text)) {
		if line := bytes.TrimRight(line, "\n"); len(line) > 0 {
			fmt.Fprintf(out, "   %s\n", line)
		} else {
			fmt.Fprintln(out)
		}
	}
}
