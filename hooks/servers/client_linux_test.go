package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// A door is where a server presents a certificate.
type door struct {
	port  int
	proto string // as in the configuration: "tls", "xmpp-client", ...
	noSNI string // what it presents to those who ask for no name, when it was reloaded; "" for "new"
}

// endpoint is the door as the configuration writes it.
func (d door) endpoint() string { return fmt.Sprintf("%s:127.0.0.1:%d", d.proto, d.port) }

// startTLS is what openssl calls what precedes TLS there; none for those that
// are not in it.
var startTLS = map[string]string{
	"xmpp-client": "xmpp", "xmpp-server": "xmpp-server", "smtp": "smtp", "imap": "imap", "pop3": "pop3", "sieve": "sieve",
}

// shown is the fingerprint of the certificate that openssl is shown at a door
// when it asks for a name; with "", without SNI. With a name, the chain has to
// be whole and for that name.
func (r *rig) shown(d door, name string) (fingerprint string, err error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	args := []string{"s_client", "-connect", fmt.Sprintf("127.0.0.1:%d", d.port)}
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
		args = append(args, "-servername", name, "-CAfile", rootFile, "-verify_return_error", "-verify_hostname", name)
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

// sees fails unless every door shows what is live for every name, three times
// in a row: after a reload, some servers have old workers take a last
// connection.
func (r *rig) sees(what string) {
	r.t.Helper()
	deadline := time.Now().Add(startTimeout)
	for row := 0; row < 3; row++ {
		err := r.wrong()
		if err == nil {
			continue
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %v", what, err)
		}
		row = -1
	}
}

// wrong says which door does not show what is live, if one does not.
func (r *rig) wrong() error {
	var looks errgroup.Group
	for _, d := range r.doors {
		for _, target := range r.targets {
			for _, name := range target.names {
				looks.Go(func() error {
					got, err := r.shown(d, name)
					if want := r.live[target.name]; got != want {
						return fmt.Errorf("%s shows %q %.16q, %v, want %.16q", d.endpoint(), name, got, err, want)
					}
					return nil
				})
			}
		}
	}
	return looks.Wait()
}

// withoutSNI looks at what every door shows a client that asks for no name
// after a reload; an old worker may take a last connection here, too.
func (r *rig) withoutSNI() {
	r.t.Helper()
	for _, d := range r.doors {
		want := d.noSNI
		if want == "" {
			want = "new"
		}
		eventually(r.t, d.endpoint()+" without SNI", func() error {
			if got := r.shownToAll(d); got != want {
				return fmt.Errorf("%s certificate, want %s", got, want)
			}
			return nil
		})
	}
}

// shownToAll says what a door shows a client that asks for no name.
func (r *rig) shownToAll(d door) string {
	fingerprint, err := r.shown(d, "")
	switch {
	case err != nil:
		return "refused"
	case r.isLive(fingerprint):
		return "new"
	case r.seen[fingerprint]:
		return "old"
	}
	return "another"
}
