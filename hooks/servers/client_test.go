package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/probe"
)

// A door is where a server presents a certificate.
type door struct {
	port  int
	proto string // as in the configuration: "tls", "xmpp-client", ...
}

// startTLS is what openssl calls what precedes TLS there; none for those that
// are not in it.
var startTLS = map[string]string{
	"xmpp-client": "xmpp", "xmpp-server": "xmpp-server", "smtp": "smtp", "imap": "imap", "pop3": "pop3", "sieve": "sieve",
}

// endpoint is the door as the configuration writes it.
func (r *rig) endpoint(d door) probe.Endpoint {
	r.t.Helper()
	e, err := probe.ParseEndpoint(d.proto + ":" + r.address + ":" + strconv.Itoa(d.port))
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// shown is the fingerprint of the certificate that openssl is shown at a door
// when it asks for a name; with "", without SNI. With a name, the chain has to
// be whole and for that name.
func (r *rig) shown(d door, name string) (fingerprint string, err error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 15*time.Second)
	defer cancel()
	args := []string{"s_client", "-connect", r.address + ":" + strconv.Itoa(d.port)}
	if proto := startTLS[d.proto]; proto != "" {
		args = append(args, "-starttls", proto)
		if strings.HasPrefix(proto, "xmpp") {
			to := name
			if to == "" {
				to = plain
			}
			args = append(args, "-xmpphost", to)
		}
	}
	if name == "" {
		args = append(args, "-noservername")
	} else {
		args = append(args, "-servername", name, "-CAfile", r.ca.file, "-verify_return_error", "-verify_hostname", name)
	}
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	block, _ := pem.Decode(out)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("openssl: %w", ctx.Err())
	case block == nil:
		return "", fmt.Errorf("no certificate: %v: %s", err, lastError(string(out)))
	case name != "" && !strings.Contains(string(out), "Verification: OK"):
		return "", fmt.Errorf("not trusted for %s: %s", name, lastError(string(out)))
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}

// lastError is the line of openssl's output that says why.
func lastError(out string) string {
	why := ""
	for line := range strings.Lines(out) {
		if strings.Contains(line, "error") || strings.Contains(line, "errno") {
			why = strings.TrimSpace(line)
		}
	}
	return why
}

// sees fails unless every door shows the pairs for their names, three times in
// a row: after a reload, some servers have old workers take a last connection.
func (r *rig) sees(what string, want pairs) {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for row := 0; row < 3; row++ {
		wrong := r.wrong(want)
		if wrong == "" {
			continue
		}
		if time.Now().After(deadline) {
			r.t.Errorf("%s: %s", what, wrong)
			return
		}
		row = -1
	}
}

// wrong says which door does not show the pairs for their names, if one does
// not.
func (r *rig) wrong(want pairs) string {
	for _, d := range r.doors {
		for _, target := range r.targets {
			for _, name := range target.names {
				got, err := r.shown(d, name)
				if w := want[target.name].Fingerprint(); got != w {
					return fmt.Sprintf("%s:%d shows %q %.16q, %v, want %.16q", d.proto, d.port, name, got, err, w)
				}
			}
		}
	}
	return ""
}

// withoutSNI says what every door shows a client that asks for no name.
func (r *rig) withoutSNI(now pairs, before ...pairs) string {
	r.t.Helper()
	var said []string
	for _, d := range r.doors {
		got, err := r.shown(d, "")
		word := "another"
		for _, p := range before {
			for name := range p {
				if p[name].Fingerprint() == got {
					word = "old"
				}
			}
		}
		for _, p := range now {
			if p.Fingerprint() == got {
				word = "new"
			}
		}
		if err != nil {
			word = "refused"
		}
		said = append(said, fmt.Sprintf("%s:%d %s", d.proto, d.port, word))
	}
	return strings.Join(said, ", ")
}

// listens waits until every door shows pairs.
func (r *rig) listens(pairs pairs) {
	r.t.Helper()
	for _, d := range r.doors {
		for _, target := range r.targets {
			eventually(r.t, fmt.Sprintf("%s:%d shows the first pair of %s", d.proto, d.port, target.name), func() bool {
				if r.server.ended() {
					r.t.Fatal("the server ended")
				}
				got, _ := r.shown(d, target.names[0])
				return got == pairs[target.name].Fingerprint()
			})
		}
	}
}

func needOpenSSL(t *testing.T) {
	t.Helper()
	program(t, "openssl", "openssl")
}
