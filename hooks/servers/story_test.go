package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/hooks"
	"keypaird/renew/keypair"
)

// A target is a certificate of the story.
type target struct {
	name  string
	names []string
}

// pairs are what targets have, by their names.
type pairs map[string]*keypair.Pair

// A rig is a server at work, and the deployment for it.
type rig struct {
	t       *testing.T
	home    string // of the server: its configuration, and the files of the preset below it
	address string
	ca      *ca
	targets []target
	doors   []door
	d       hooks.Deployment
	server  *process
	conf    string // the file that is made unusable

	n    int // versions stored so far
	live pairs
}

// newRig prepares a rig for a preset: its files are below the rig's home, and
// whatever else it says stays as it is.
func newRig(t *testing.T, preset string) *rig {
	t.Helper()
	needRoot(t)
	needOpenSSL(t)
	d, ok := hooks.Preset(preset)
	if !ok {
		t.Fatalf("no preset %q", preset)
	}
	home := newDir(t)
	r := &rig{t: t, home: home, address: newAddress(t), ca: newCA(t, home), d: d, live: pairs{}}
	r.targets = []target{{plain, []string{plain}}, {host, []string{host}}}
	if d.Single {
		r.targets = []target{{plain, []string{host, plain}}}
	}
	for _, path := range []*string{&r.d.Chain, &r.d.Key, &r.d.Combined} {
		if *path != "" {
			*path = home + *path
			dir := mkdir(t, filepath.Dir(*path), "", 0o750)
			chgrp(t, dir, d.Group)
		}
	}
	r.d.Patience = 5 * time.Second
	mkdir(t, filepath.Join(home, "store"), "", 0o700)
	return r
}

// chgrp gives a directory to a group, as the remedy of a misfit says.
func chgrp(t *testing.T, dir, group string) {
	t.Helper()
	if err := (&hooks.Command{Argv: []string{"chgrp", group, dir}}).Run(t.Context(), hooks.Event{}); err != nil {
		t.Fatal(err)
	}
}

// live is where the store has the version of a target that is in use.
func (r *rig) liveDir(name string) string { return filepath.Join(r.home, "store", name, "live") }

// fresh returns new pairs for all targets.
func (r *rig) fresh() pairs {
	p := pairs{}
	for _, t := range r.targets {
		p[t.name] = r.ca.pair(t.names...)
	}
	return p
}

// path is the file of a preset's template for a target.
func path(template, name string) string { return strings.ReplaceAll(template, "{name}", name) }

// store keeps a version of a target as the store does, and makes it live.
func (r *rig) store(name string, p *keypair.Pair) (dir string, restore func() error) {
	r.t.Helper()
	r.n++
	live := r.liveDir(name)
	dir = filepath.Join(filepath.Dir(live), fmt.Sprint("v", r.n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	for file, data := range map[string][]byte{"fullchain.pem": p.FullChain(), "privkey.pem": p.Key(), "combined.pem": p.Combined()} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	previous, err := os.Readlink(live)
	if err := relink(dir, live); err != nil {
		r.t.Fatal(err)
	}
	if err != nil {
		return dir, nil
	}
	return dir, func() error { return relink(previous, live) }
}

// relink makes a symbolic link point elsewhere at once.
func relink(to, link string) error {
	os.Remove(link + ".tmp")
	if err := os.Symlink(to, link+".tmp"); err != nil {
		return err
	}
	return os.Rename(link+".tmp", link)
}

// begin puts the first pairs of the targets in place, as the one who set the
// server up did.
func (r *rig) begin() {
	r.t.Helper()
	first := r.fresh()
	d := r.d
	d.Check, d.Reload, d.Verify = nil, nil, nil
	if err := d.Deploy(r.t.Context(), r.changes(first)); err != nil {
		r.t.Fatal(err)
	}
	r.live = first
}

// changes are from what is live to the pairs next.
func (r *rig) changes(next pairs) []hooks.Change {
	var list []hooks.Change
	for _, t := range r.targets {
		p := next[t.name]
		if p == r.live[t.name] {
			continue
		}
		dir, restore := r.store(t.name, p)
		list = append(list, hooks.Change{Name: t.name, Names: t.names, New: p, Dir: dir, Previous: r.live[t.name], Restore: restore})
	}
	return list
}

// started says that the server runs, and where it is to be verified.
func (r *rig) started(p *process) {
	r.t.Helper()
	r.server = p
	r.listens(r.live)
	for _, d := range r.doors {
		r.d.Verify = append(r.d.Verify, r.endpoint(d))
	}
}

// renew deploys new pairs, which have to be seen then.
func (r *rig) renew(what string) {
	r.t.Helper()
	next := r.fresh()
	began := time.Now()
	if err := r.d.Deploy(r.t.Context(), r.changes(next)); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	took := time.Since(began)
	r.sees(what, next)
	r.t.Logf("%s: deployed and verified in %v; without SNI: %s", what, took.Round(time.Millisecond), r.withoutSNI(next, r.live))
	r.live = next
}

// refused deploys next with a deployment that cannot succeed, and has the
// previous pairs seen afterwards. The error has to hold want.
func (r *rig) refused(what string, d hooks.Deployment, next pairs, want string) *hooks.Error {
	r.t.Helper()
	err := d.Deploy(r.t.Context(), r.changes(next))
	e, ok := errors.AsType[*hooks.Error](err)
	if !ok {
		r.t.Fatalf("%s: Deploy = %v, want an error", what, err)
	}
	r.t.Logf("%s: %s: %v", what, e.Step, e)
	if !e.RolledBack || e.RollbackErr != nil {
		r.t.Errorf("%s: RolledBack %v, RollbackErr %v", what, e.RolledBack, e.RollbackErr)
	}
	if !strings.Contains(e.Error(), want) || strings.Contains(e.Error(), "\n") || e.Remedy() == "" {
		r.t.Errorf("%s: error %q, remedy %q\nwant %q", what, e, e.Remedy(), want)
	}
	r.sees(what, r.live)
	return e
}

// meddled is the deployment with somebody else who, when the new pairs are in
// place and checked, puts another key there before the server is told.
func (r *rig) meddled(next pairs) hooks.Deployment {
	r.t.Helper()
	d := r.d
	var lines []string
	for _, t := range r.targets {
		other := filepath.Join(r.home, t.name+".other-key")
		chain := filepath.Join(r.home, t.name+".chain")
		write(r.t, other, string(r.ca.pair(t.names...).Key()))
		write(r.t, chain, string(next[t.name].FullChain()))
		key, combined := path(d.Key, t.name), path(d.Combined, t.name)
		if d.Chain+d.Key+d.Combined == "" {
			key, combined = filepath.Join(r.liveDir(t.name), "privkey.pem"), filepath.Join(r.liveDir(t.name), "combined.pem")
		}
		if key != "" {
			lines = append(lines, fmt.Sprintf("cat %s >%s", other, key))
		}
		if combined != "" {
			lines = append(lines, fmt.Sprintf("cat %s %s >%s", other, chain, combined))
		}
	}
	body := `if [ "$KEYPAIRD_EVENT" = deploy ]; then` + "\n" + strings.Join(lines, "\n") + "\nfi\n" + `exec "$@"`
	d.Reload = append([]string{script(r.t, filepath.Join(r.home, "meddle"), body)}, d.Reload...)
	return d
}

// unreadable is the deployment with files that only root can read.
func (r *rig) unreadable() hooks.Deployment {
	d := r.d
	d.Group, d.KeyMode = "root", 0o600
	return d
}

// broken calls f while the server's configuration is one it cannot read.
func (r *rig) broken(line string, f func()) {
	r.t.Helper()
	was := text(r.conf)
	write(r.t, r.conf, was+line+"\n")
	f()
	write(r.t, r.conf, was)
}

// What the error says when something is broken; "": that cannot be done to
// this server.
type troubles struct {
	otherKey      string // a key of another is in place when it is told
	unreadable    string // the files belong to root alone
	weak          string // OpenSSL does not want the key of the new pair
	configuration string // its configuration cannot be read
}

// tell is the story of every server: deploy, renew, break what can be broken,
// and renew once more.
func (r *rig) tell(want troubles) {
	r.t.Helper()
	r.renew("deploy")
	r.renew("renew")
	r.trouble(want)
	r.renew("at last")
}

// trouble breaks what can be broken. What was served before is served whatever
// happens.
func (r *rig) trouble(want troubles) {
	r.t.Helper()
	if want.otherKey != "" {
		next := r.fresh()
		r.refused("key of another", r.meddled(next), next, want.otherKey)
	}
	if want.unreadable != "" {
		r.refused("unreadable", r.unreadable(), r.fresh(), want.unreadable)
	}
	if want.weak != "" {
		next := pairs{}
		for name, p := range r.live {
			next[name] = p
		}
		next[plain] = r.ca.weak(r.targets[0].names...)
		r.refused("weak", r.d, next, want.weak)
	}
	if want.configuration != "" {
		r.broken("{{{", func() { r.refused("configuration", r.d, r.fresh(), want.configuration) })
	}
}
