package keypair

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/renew/durable"
)

// damages are what a bad disk or a hand can do to a version in directory d.
var damages = []struct {
	name  string
	spoil func(t *testing.T, d string, other *Pair)
	cheap bool // the cheap look sees it too
}{
	{"chain truncated to nothing", func(t *testing.T, d string, other *Pair) { damage(t, d+"/fullchain.pem", nil) }, true},
	{"chain cut", func(t *testing.T, d string, other *Pair) { damage(t, d+"/fullchain.pem", other.FullChain()[:700]) }, true},
	{"zeros at the end of the chain", func(t *testing.T, d string, other *Pair) {
		damage(t, d+"/fullchain.pem", append(other.FullChain(), make([]byte, 512)...))
	}, true},
	{"huge chain", func(t *testing.T, d string, other *Pair) { must(t, os.Truncate(d+"/fullchain.pem", 1<<40)) }, true},
	{"chain of another key", func(t *testing.T, d string, other *Pair) { damage(t, d+"/fullchain.pem", other.FullChain()) }, false},
	{"no chain", func(t *testing.T, d string, other *Pair) { must(t, os.Remove(d+"/fullchain.pem")) }, true},
	{"key truncated to nothing", func(t *testing.T, d string, other *Pair) { damage(t, d+"/privkey.pem", nil) }, true},
	{"key cut", func(t *testing.T, d string, other *Pair) { damage(t, d+"/privkey.pem", other.Key()[:100]) }, false},
	{"key of another certificate", func(t *testing.T, d string, other *Pair) { damage(t, d+"/privkey.pem", other.Key()) }, false},
	{"no key", func(t *testing.T, d string, other *Pair) { must(t, os.Remove(d+"/privkey.pem")) }, true},
	{"combined file cut", func(t *testing.T, d string, other *Pair) { damage(t, d+"/combined.pem", nil) }, false},
	{"no chain.pem", func(t *testing.T, d string, other *Pair) { must(t, os.Remove(d+"/chain.pem")) }, false},
	{"chain is a link", func(t *testing.T, d string, other *Pair) {
		must(t, os.Rename(d+"/fullchain.pem", d+"/x"))
		must(t, os.Symlink("x", d+"/fullchain.pem"))
	}, true},
	{"chain is a directory", func(t *testing.T, d string, other *Pair) {
		must(t, os.Remove(d+"/fullchain.pem"))
		must(t, os.Mkdir(d+"/fullchain.pem", 0o700))
	}, true},
	{"version is a link", func(t *testing.T, d string, other *Pair) {
		must(t, os.Rename(d, d+"x"))
		must(t, os.Symlink(filepath.Base(d)+"x", d))
	}, true},
	{"version is a file", func(t *testing.T, d string, other *Pair) {
		must(t, os.RemoveAll(d))
		damage(t, d, []byte("x"))
	}, true},
	{"version is empty", func(t *testing.T, d string, other *Pair) {
		must(t, os.RemoveAll(d))
		must(t, os.Mkdir(d, 0o700))
	}, true},
}

// TestDamage damages the newest of two versions and makes it live.
func TestDamage(t *testing.T) {
	ca := newCA(t)
	for _, tt := range damages {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			good := add(t, s, name, ca.pair(t, name))
			bad := add(t, s, name, ca.pair(t, name))
			setLive(t, s, name, bad)
			tt.spoil(t, bad.Dir, ca.pair(t, name))

			newest, err := s.Newest(name)
			if err != nil || newest.ID != good.ID {
				t.Errorf("Newest = %q, %v, want %s", newest.ID, err, good.ID)
			}
			if len(newest.Skipped) != 1 || !isBroken(newest.Skipped[0]) || !strings.HasPrefix(newest.Skipped[0].Error(), bad.Dir) {
				t.Errorf("Skipped = %v, want a BrokenError about %s", newest.Skipped, bad.Dir)
			}
			if _, err := s.Live(name); !isBroken(err) {
				t.Errorf("Live: %v, want a BrokenError", err)
			}
			if err := s.SetLive(name, bad); !isBroken(err) {
				t.Errorf("SetLive of the broken version: %v, want a BrokenError", err)
			}
			_, id, _, err := s.NewestLeaf(name)
			if want := map[bool]string{true: good.ID, false: bad.ID}[tt.cheap]; err != nil || id != want {
				t.Errorf("NewestLeaf = %q, %v, want %s", id, err, want)
			}
			if _, _, _, err := s.LiveLeaf(name); isBroken(err) != tt.cheap {
				t.Errorf("LiveLeaf: %v, want a BrokenError: %v", err, tt.cheap)
			}
			if _, err := s.Find(name, bad.Pair.Fingerprint()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Find of the broken version: %v", err)
			}
			if found, err := s.Find(name, good.Pair.Fingerprint()); err != nil || found.ID != good.ID {
				t.Errorf("Find of the good version: %s, %v", found.ID, err)
			}
			setLive(t, s, name, newest)
			if v := add(t, s, name, ca.pair(t, name)); v.ID != "v000003" {
				t.Errorf("next version is %s, want v000003", v.ID)
			}
			must(t, os.RemoveAll(s.Dir(name)+"/v000003"))
			must(t, os.RemoveAll(good.Dir))
			if _, err := s.Newest(name); !isBroken(err) {
				t.Errorf("Newest with only a broken version: %v", err)
			}
		})
	}
}

func isBroken(err error) bool {
	var broken *durable.BrokenError
	return errors.As(err, &broken) && !errors.Is(err, fs.ErrNotExist) && broken.Remedy() != ""
}

func TestLiveLink(t *testing.T) {
	ca := newCA(t)
	for _, tt := range []struct {
		name  string
		plant func(live string) error
		wrong bool // SetLive refuses
	}{
		{"dangling", func(live string) error { return os.Symlink("v000009", live) }, false},
		{"absolute", func(live string) error { return os.Symlink("/etc/ssl", live) }, false},
		{"out of the store", func(live string) error { return os.Symlink("../../..", live) }, false},
		{"a detour to a version", func(live string) error { return os.Symlink("./v000001", live) }, false},
		{"unfinished version", func(live string) error { return os.Symlink(".tmp-v000001-0011223344556677", live) }, false},
		{"a file", func(live string) error { return os.WriteFile(live, nil, 0o600) }, false},
		{"a directory, by a copy that followed links", func(live string) error { return os.Mkdir(live, 0o700) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			v := add(t, s, name, ca.pair(t, name))
			must(t, tt.plant(filepath.Join(s.Dir(name), "live")))
			if _, err := s.Live(name); !isBroken(err) {
				t.Errorf("Live: %v, want a BrokenError", err)
			}
			if _, _, _, err := s.LiveLeaf(name); !isBroken(err) {
				t.Errorf("LiveLeaf: %v, want a BrokenError", err)
			}
			err := s.SetLive(name, v)
			var failed *durable.WriteError
			if tt.wrong {
				if !errors.As(err, &failed) || !strings.Contains(failed.Remedy(), "out of the way") {
					t.Errorf("SetLive: %v", err)
				}
				if got := entries(t, s.Dir(name)); !slices.Equal(got, []string{"live", "v000001"}) {
					t.Errorf("left behind: %q", got)
				}
				return
			}
			must(t, err)
			if live, err := s.Live(name); err != nil || live.ID != v.ID {
				t.Errorf("Live = %s, %v", live.ID, err)
			}
		})
	}
}
