package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"keypaird/renew/keypair"
)

// deployed is after a deployment that went well: something new is live, and it
// is what everybody is shown.
func (r *rig) deployed(what string) {
	r.t.Helper()
	r.look()
	r.sees(what)
	r.rows("ok", "", r.targets)
}

// renew has new certificates ordered and deployed.
func (r *rig) renew(what string) {
	r.t.Helper()
	before, began := maps.Clone(r.live), time.Now()
	r.keypaird(0, "issue", "-force")
	took := time.Since(began)
	r.deployed(what)
	for _, t := range r.targets {
		if before[t.name] == r.live[t.name] {
			r.t.Fatalf("%s: nothing new for %s", what, t.name)
		}
	}
	r.withoutSNI()
	r.t.Logf("%s: issued, deployed and verified in %v", what, took.Round(time.Millisecond))
}

// refused does what ends in certificates that cannot be deployed. What was live
// is live, and everybody is shown it; the error, and the row in the status of
// each target, hold want. Table is what more [deploy] says, and that nobody is
// as patient as usual.
func (r *rig) refused(what, want, table string, targets []target, command ...string) {
	r.t.Helper()
	r.configure(table + "timeout = " + quote(r.patience().String()) + "\n")
	said := r.keypaird(1, command...)
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "keypaird: ") {
			r.t.Logf("%s: %s", what, line)
		}
	}
	for _, w := range []string{want, "; the previous pair is back in place", "\nkeypaird: remedy: "} {
		if !strings.Contains(said, w) {
			r.t.Errorf("%s: %q is not said:\n%s", what, w, said)
		}
	}
	before := maps.Clone(r.live)
	r.look()
	if !maps.Equal(before, r.live) {
		r.t.Errorf("%s: live is %v, want %v", what, r.live, before)
	}
	r.sees(what)
	r.rows("failing", want, targets)
	r.configure("")
}

// rows looks at the rows of targets in the status.
func (r *rig) rows(state, why string, targets []target) {
	r.t.Helper()
	said := r.keypaird(0, "status")
	for _, t := range targets {
		row := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(t.name) + ` +` + state + ` `)
		_, details, _ := strings.Cut(said, "\n"+t.name+"\n")
		details, _, _ = strings.Cut(details, "\n\n")
		stands := "deployment " + r.server.Name + ": pending"
		if state == "ok" {
			stands = "deployment " + r.server.Name + ": verified"
		}
		if !row.MatchString(said) || !strings.Contains(details, stands) || !strings.Contains(details, why) {
			r.t.Errorf("status of %s: want %s, %s, %q:\n%s", t.name, state, stands, why, said)
		}
	}
}

// mended finishes what was refused, with the certificates there are.
func (r *rig) mended(what string) {
	r.t.Helper()
	before := maps.Clone(r.live)
	if said := r.keypaird(0, "issue"); strings.Contains(said, ": issued by") {
		r.t.Errorf("%s, mended: another order:\n%s", what, said)
	}
	r.deployed(what + ", mended")
	for _, t := range r.targets {
		if before[t.name] == r.live[t.name] {
			r.t.Fatalf("%s, mended: nothing new for %s", what, t.name)
		}
	}
}

// notServed is said when the server was told, and does not serve what it was
// told of. What it does instead is in the log of the test: when there is much
// else to do, it may be too slow to show.
const notServed = "verifying: "

// What is said when something is broken; "": that cannot be done to this
// server.
type troubles struct {
	pair          string // a key of another is in place when the server is told
	owner         string // the files belong to root alone
	harmless      bool   // the files belong to a stranger alone: it reads them as root
	weak          string // OpenSSL does not want the key of what was bought
	configuration string // its configuration cannot be read
	unread        bool   // of its configuration, nothing is read until it starts again
}

// tell is the story of every server: its first certificates, renewal, all that
// can be broken, and renewal.
func (r *rig) tell(want troubles) {
	r.t.Helper()
	r.begin()
	r.renew("renew")
	r.trouble(want)
	r.renew("at last")
}

// trouble breaks what can be broken. What was served before is served whatever
// happens.
func (r *rig) trouble(want troubles) {
	r.t.Helper()
	if want.pair != "" {
		r.meddle()
		r.refused("pair", want.pair, "", r.targets, "issue", "-force")
		r.remove(filepath.Join(ours, "meddle"))
		if r.readsStore() {
			r.damaged()
		}
		r.mended("pair")
	}
	if want.owner != "" {
		r.refused("owner", want.owner, "group = \"root\"\nkey_mode = \"0600\"\n", r.targets, "issue", "-force")
		r.mended("owner")
	}
	if want.harmless {
		r.configure("owner = \"nobody\"\ngroup = \"nogroup\"\nkey_mode = \"0600\"\n")
		r.renew("owner")
		r.configure("")
		r.renew("owner, as it was")
	}
	if want.weak != "" {
		r.buyWeak()
		r.bought = true
		r.refused("weak", want.weak, "", r.targets[:1], "issue")
		r.bought = false
		r.configure("")
		r.renew("weak, replaced")
	}
	if want.unread {
		was := read(r.t, r.conf)
		write(r.t, r.conf, was+"\n{{{\n")
		r.renew("configuration")
		write(r.t, r.conf, was)
	}
	if want.configuration != "" {
		was := read(r.t, r.conf)
		write(r.t, r.conf, was+"\n{{{\n")
		r.refused("configuration", want.configuration, "", r.targets, "issue", "-force")
		write(r.t, r.conf, was)
		r.mended("configuration")
	}
}

// damaged is how it goes on where it was the store that somebody meddled with:
// what is damaged is not deployed, and the remedy says what to do.
func (r *rig) damaged() {
	r.t.Helper()
	const remedy = "out of the way or restore it from a backup, then: keypaird issue"
	if said := r.keypaird(1, "issue"); !strings.Contains(said, remedy) {
		r.t.Errorf("%q is not said:\n%s", remedy, said)
	}
	r.sees("damaged")
	r.rows("failing", "private key does not belong to the certificate", r.targets)
	for _, t := range r.targets {
		must(r.t, "sh", "-c", fmt.Sprintf("cp %[1]s/%[2]s/* $(cat %[1]s/%[2]s.dir)/", ours, t.name))
	}
}

// meddle has somebody else put another key in place when the new pair is there
// and checked, just before the server is told.
func (r *rig) meddle() {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	pem, err := keypair.MarshalKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	other := filepath.Join(ours, "other.key")
	write(r.t, other, string(pem))
	body := "[ \"$KEYPAIRD_EVENT\" = deploy ] || exit 0\n"
	for _, t := range r.targets {
		key, combined := r.paths(t.name)
		if r.readsStore() {
			body += fmt.Sprintf("readlink -f %[1]s >%[2]s.dir\ncp -RL %[1]s %[2]s\n", filepath.Dir(key), filepath.Join(ours, t.name))
		}
		if key != "" {
			body += fmt.Sprintf("cat %s >%s\n", other, key)
		}
		if combined != "" {
			body += fmt.Sprintf("{ cat %s; sed '/^-----BEGIN CERT/,$!d' %s; } >%s\ncat %[3]s >%[2]s\n", other, combined, filepath.Join(ours, "combined"))
		}
	}
	script(r.t, filepath.Join(ours, "meddle"), body)
	r.intercept()
}

// intercept has the command that tells the server wait for the one who meddles.
func (r *rig) intercept() {
	r.t.Helper()
	program, first := r.server.Deployment.Reload[0], r.server.Deployment.Reload[1]
	if program == "sh" { // Postfix: what its script does first
		program, first = "postconf", "-hx"
	}
	stand := filepath.Join("/usr/local/sbin", program)
	real := located(r.t, program)
	if real == stand {
		real = filepath.Join(ours, program)
		must(r.t, "mv", stand, real)
	}
	script(r.t, stand, fmt.Sprintf("[ \"$1\" != %s ] || [ ! -e %[2]s ] || %[2]s\nexec %s \"$@\"\n", first, filepath.Join(ours, "meddle"), real))
}
