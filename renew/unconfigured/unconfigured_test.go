package unconfigured

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/notify"
	"keypaird/renew/renewalinfo"
	"keypaird/renew/renewtest"
	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	os.Exit(testutil.Run(m))
}

const day = 24 * time.Hour

// A world is a store, and a directory with what is deployed.
type world struct {
	t        *testing.T
	store    *keypair.Store
	deployed string
	log      bytes.Buffer
}

func newWorld(t *testing.T) *world {
	store, err := keypair.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return &world{t: t, store: store, deployed: t.TempDir()}
}

// target is one of the configuration, with a server that uses {name}.crt and {name}.key.
func (w *world) target(name string, names ...string) renew.Target {
	return renew.Target{
		Name: name, Names: names, KeyType: "ec256", Issuers: renewtest.CAs("le"),
		Deploy: []renew.Deployer{&renewtest.Server{Name: "proxy", Files: []string{w.deployed + "/{name}.crt", w.deployed + "/{name}.key"}}},
	}
}

// stored stores a pair that was obtained age ago, and makes it live.
func (w *world) stored(name string, age, life time.Duration, names ...string) *keypair.Pair {
	w.t.Helper()
	p, err := pairtest.Issue(names, time.Now().Add(-age), life)
	must(w.t, err)
	v, err := w.store.Add(name, p)
	must(w.t, err)
	must(w.t, w.store.SetLive(name, v))
	return p
}

// deploys stores a pair and deploys it, and records that.
func (w *world) deploys(name string, age, life time.Duration, names ...string) *keypair.Pair {
	w.t.Helper()
	p := w.stored(name, age, life, names...)
	files := []string{filepath.Join(w.deployed, name+".crt"), filepath.Join(w.deployed, name+".key")}
	must(w.t, os.WriteFile(files[0], p.FullChain(), 0o644))
	must(w.t, os.WriteFile(files[1], p.Key(), 0o600))
	w.records(name, renew.Record{
		Ordering: renew.Ordering{
			Fingerprint: p.Fingerprint(), CA: "le", Profile: "tlsserver", IssuedAt: p.Leaf.NotBefore,
			RenewalInfo: renewalinfo.Info{Fingerprint: p.Fingerprint(), Chosen: p.Leaf.NotAfter.Add(-20 * day)},
		},
		Deployments: map[string]renew.Deployment{"proxy": {Deployed: p.Fingerprint(), Verified: p.Fingerprint(), Files: files}},
	})
	return p
}

func (w *world) records(name string, rec renew.Record) {
	w.t.Helper()
	must(w.t, new(renew.Records).SaveDurably(w.store, name, rec))
}

func (w *world) find(configured ...renew.Target) []Certificate {
	w.t.Helper()
	list, err := Find(w.store, configured)
	must(w.t, err)
	return list
}

func (w *world) copyRenamed(configured ...renew.Target) {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	CopyRenamed(w.store, new(renew.Records), w.find(configured...), configured, time.Now(), log)
}

func TestFind(t *testing.T) {
	const name = "chat.example.org"
	for _, tt := range []struct {
		name   string
		change func(w *world, files []string)
		also   func(w *world) renew.Target // configured
		want   []string                    // names of the files that count; nil: it is not in use
		store  bool                        // servers may read the store
	}{
		{"dropped", nil, nil, []string{"old.crt", "old.key"}, false},
		{"files removed", func(w *world, files []string) { must(w.t, os.Remove(files[0])); must(w.t, os.Remove(files[1])) }, nil, nil, false},
		{"the certificate replaced by another program", func(w *world, files []string) { must(w.t, os.WriteFile(files[0], []byte("else"), 0o644)) }, nil, []string{"old.key"}, false},
		{"the record lost", func(w *world, _ []string) { w.records("old", renew.Record{}) }, nil, []string{"old.crt", "old.key"}, false},
		{"never deployed to files", func(w *world, files []string) {
			w.records("old", renew.Record{})
			must(w.t, os.Remove(files[0]))
			must(w.t, os.Remove(files[1]))
		}, nil, nil, true},
		{"another target writes these files now", nil,
			func(w *world) renew.Target {
				t := w.target("other")
				t.Deploy = []renew.Deployer{&renewtest.Server{Name: "web", Files: []string{w.deployed + "/old.crt", w.deployed + "/old.key"}}}
				return t
			}, nil, false},
		{"an older version still deployed", func(w *world, _ []string) { w.stored("old", 0, 90*day, name) }, nil, []string{"old.crt", "old.key"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.deploys("old", day, 90*day, name)
			w.stored("kept", day, 90*day, "mail.example.org")
			if tt.change != nil {
				tt.change(w, []string{w.deployed + "/old.crt", w.deployed + "/old.key"})
			}
			configured := []renew.Target{w.target("kept", "mail.example.org")}
			if tt.also != nil {
				configured = append(configured, tt.also(w))
			}
			list := w.find(configured...)
			if len(list) != 1 || list[0].Name != "old" {
				t.Fatalf("found %v, want old", list)
			}
			var want []string
			for _, file := range tt.want {
				want = append(want, filepath.Join(w.deployed, file))
			}
			if got := list[0].Files(); !slices.Equal(got, want) {
				t.Errorf("files %q, want %q", got, want)
			}
			if tt.store {
				want = []string{filepath.Join(w.store.Dir("old"), "live")}
			}
			if got := list[0].InUse(); !slices.Equal(got, want) {
				t.Errorf("in use %q, want %q", got, want)
			}
			if s := list[0].TargetState(); !slices.Equal(s.Names, []string{name}) || s.State.InUse.NotAfter.Before(p.Leaf.NotAfter) {
				t.Errorf("state %+v", s)
			}
		})
	}
}

// Damage of what nobody renews any more is no reason to stop.
func TestFindDamaged(t *testing.T) {
	w := newWorld(t)
	w.stored("broken", day, 90*day, "chat.example.org")
	must(t, os.WriteFile(w.store.Dir("broken")+"/v000001/privkey.pem", nil, 0o600))
	must(t, os.Mkdir(w.store.Dir("empty"), 0o700))
	w.stored("whole", day, 90*day, "mail.example.org")
	list := w.find()
	if len(list) != 3 || list[0].InUse() != nil || list[1].InUse() != nil || list[2].InUse() == nil {
		t.Errorf("found %v", list)
	}
	w.copyRenamed(w.target("new", "chat.example.org"))
}

func TestActionRequired(t *testing.T) {
	for _, tt := range []struct {
		name      string
		age, life time.Duration
		want      notify.Kind
	}{
		{"new", day, 90 * day, ""},
		{"less than a quarter left, but 15 days", 75 * day, 90 * day, ""},
		{"13 days left", 77 * day, 90 * day, notify.Expiring},
		{"six-day, a third left", 4 * day, 6 * day, ""},
		{"six-day, a sixth left", 5 * day, 6 * day, notify.Expiring},
		{"ended", 91 * day, 90 * day, notify.Expiring},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.deploys("old", tt.age, tt.life, "chat.example.org")
			s := w.find()[0].TargetState()
			if got := notify.Check(time.Now(), s.Target, s.State); got.Kind != tt.want {
				t.Errorf("Check = %+v, want %q", got, tt.want)
			}
		})
	}
}

// A renamed target keeps its certificate: nothing is ordered.
func TestCopyRenamed(t *testing.T) {
	const name = "chat.example.org"
	for _, tt := range []struct {
		name   string
		before func(w *world)
		target func(t *renew.Target)
		want   string // the old name; "": nothing is copied
	}{
		{"renamed", func(w *world) { w.deploys("old", day, 90*day, name) }, nil, "old"},
		{"several", func(w *world) {
			w.deploys("older", 9*day, 90*day, name)
			w.deploys("old", day, 90*day, name)
			w.deploys("oldest", 20*day, 90*day, name)
		}, nil, "old"},
		{"the newest has ended", func(w *world) {
			w.deploys("old", 9*day, 90*day, name)
			w.deploys("short", 2*day, day, name)
		}, nil, "old"},
		{"all have ended", func(w *world) { w.deploys("old", 91*day, 90*day, name) }, nil, ""},
		{"other names", func(w *world) { w.deploys("old", day, 90*day, name, "mail.example.org") }, nil, ""},
		{"another type of key", func(w *world) { w.deploys("old", day, 90*day, name) }, func(t *renew.Target) { t.KeyType = "rsa2048" }, ""},
		{"two orders failed before", func(w *world) {
			w.deploys("old", day, 90*day, name)
			w.records("new", renew.Record{Ordering: renew.Ordering{Orders: map[string]backoff.Attempt{"le": {Failures: 2}}}, Notified: renew.Notified{Failing: time.Now()}})
		}, nil, "old"},
		{"it has a certificate", func(w *world) {
			w.deploys("old", day, 90*day, name)
			w.stored("new", 2*day, 90*day, name)
		}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.before(w)
			target := w.target("new", strings.ToUpper(name))
			target.Profile = "tlsserver"
			if tt.target != nil {
				tt.target(&target)
			}
			had, _ := w.store.Newest("new")
			w.copyRenamed(target)
			v, err := w.store.Newest("new")
			if tt.want == "" {
				if v.ID != had.ID || w.log.Len() > 0 {
					t.Errorf("there is %s, %v, want %q; log: %s", v.ID, err, had.ID, &w.log)
				}
				return
			}
			must(t, err)
			old, err := w.store.Newest(tt.want)
			must(t, err)
			if v.Pair.Fingerprint() != old.Pair.Fingerprint() {
				t.Errorf("%s has another pair than %s", v.Dir, old.Dir)
			}
			if text := w.log.String(); !strings.Contains(text, `msg="target renamed" cert=new from=`+tt.want+" ") {
				t.Errorf("log: %s", text)
			}
			s, err := renew.LoadState(w.store, target)
			must(t, err)
			if d := renew.Decide(time.Now(), target, s, renew.Scheduled); d.Action != renew.Deploy || d.Why != "stored but not deployed" {
				t.Errorf("decided %+v, want a deployment", d)
			}
			if was := w.record(tt.want); s.Record.CA != "le" || !s.Record.RenewalInfo.Chosen.Equal(was.RenewalInfo.Chosen) || !s.Record.IssuedAt.Equal(was.IssuedAt) {
				t.Errorf("record %+v, was %+v", s.Record, was)
			}
			w.log.Reset()
			w.copyRenamed(target)
			if w.log.Len() > 0 {
				t.Errorf("once more: %s", &w.log)
			}
		})
	}
}

func (w *world) record(name string) renew.Record {
	rec, err := renew.LoadRecord(w.store, name)
	must(w.t, err)
	return rec
}

// A revoked pair is not used under another name: another is used, or ordered. A target with
// TLSA records uses it until peers know another key, and knows that it was revoked.
func TestCopyRevoked(t *testing.T) {
	const name = "mail.example.org"
	revoke := func(w *world, target string) {
		rec := w.record(target)
		rec.SetRevoked(rec.Fingerprint, time.Now())
		w.records(target, rec)
	}
	for _, tt := range []struct {
		name  string
		other bool // there is another pair, older and not revoked
		tlsa  []string
		want  string // the log has it
	}{
		{"alone", false, nil, ""},
		{"another is not revoked", true, nil, "from=other "},
		{"alone, with TLSA records", false, []string{"_25._tcp." + name}, "from=old "},
		{"another is not revoked, with TLSA records", true, []string{"_25._tcp." + name}, "from=other "},
	} {
		w := newWorld(t)
		w.deploys("old", day, 90*day, name)
		must(t, w.store.WriteFile("old", renew.NextKeyFile, []byte("key")))
		revoke(w, "old")
		if tt.other {
			w.deploys("other", 2*day, 90*day, name)
		}
		target := w.target("new", name)
		target.Profile, target.TLSA = "tlsserver", tt.tlsa
		w.copyRenamed(target)
		if text := w.log.String(); !strings.Contains(text, tt.want) || tt.want == "" && text != "" {
			t.Errorf("%s: log: %s", tt.name, text)
		}
		s, err := renew.LoadState(w.store, target)
		must(t, err)
		if tt.want != "from=old " {
			if (s.Leaf != nil) != tt.other || !s.Record.Revoked.At.IsZero() {
				t.Errorf("%s: leaf %v, record %+v", tt.name, s.Leaf, s.Record)
			}
			continue
		}
		next, err := w.store.ReadFile("new", renew.NextKeyFile)
		if d := renew.Decide(time.Now(), target, s, renew.Scheduled); err != nil || string(next) != "key" || d.Action != renew.Issue || !strings.Contains(d.Why, "revoked") {
			t.Errorf("%s: decided %+v; next key %q, %v", tt.name, d, next, err)
		}
	}
}

// A next key whose TLSA record is published is used for the next certificate.
func TestCopyNextKey(t *testing.T) {
	w := newWorld(t)
	w.deploys("old", day, 90*day, "mail.example.org")
	must(t, w.store.WriteFile("old", renew.NextKeyFile, []byte("key")))
	target := w.target("new", "mail.example.org")
	target.TLSA = []string{"_25._tcp.mail.example.org"}
	w.copyRenamed(target)
	if got, err := w.store.ReadFile("new", renew.NextKeyFile); err != nil || string(got) != "key" {
		t.Errorf("next key %q, %v", got, err)
	}
}

func TestRemove(t *testing.T) {
	for _, files := range []bool{false, true} {
		w := newWorld(t)
		w.deploys("old", day, 90*day, "chat.example.org")
		kept := filepath.Join(w.deployed, "old.crt")
		must(t, os.WriteFile(kept, []byte("of another program"), 0o644))
		key, dir := filepath.Join(w.deployed, "old.key"), w.store.Dir("old")
		removed, err := w.find()[0].Remove(files)
		must(t, err)
		want := []string{dir}
		if files {
			want = []string{key, dir}
		}
		if !slices.Equal(removed, want) {
			t.Errorf("removed %q, want %q", removed, want)
		}
		for _, path := range []string{kept, key, dir} {
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) != slices.Contains(want, path) {
				t.Errorf("%s after it: %v", path, err)
			}
		}
	}
}

// A link is not followed, and nothing is removed.
func TestRemoveLink(t *testing.T) {
	w := newWorld(t)
	w.deploys("old", day, 90*day, "chat.example.org")
	file, other := filepath.Join(w.deployed, "old.crt"), filepath.Join(w.deployed, "other")
	must(t, os.Rename(file, other))
	must(t, os.Symlink(other, file))
	if removed, err := w.find()[0].Remove(true); err == nil || len(removed) > 0 {
		t.Errorf("removed %q, %v; want an error", removed, err)
	}
	for _, path := range []string{file, other, w.store.Dir("old")} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
