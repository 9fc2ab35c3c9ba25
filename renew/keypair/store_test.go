package keypair

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const name = "example.org"

func TestStore(t *testing.T) {
	ca := newCA(t)
	dir := filepath.Join(t.TempDir(), "a", "state")
	s := open(t, dir)
	if _, err := s.Live(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Live of an empty store: %v", err)
	}
	if _, err := s.Newest(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Newest of an empty store: %v", err)
	}
	old := add(t, s, name, ca.pair(t, name))
	if _, err := s.Live(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Live after Add alone: %v, want none", err)
	}
	if _, _, _, err := s.LiveLeaf(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LiveLeaf after Add alone: %v, want none", err)
	}
	setLive(t, s, name, old)
	v := add(t, s, name, ca.pair(t, name))
	if old.ID != "v000001" || v.ID != "v000002" || v.Dir != filepath.Join(dir, "certs", name, "v000002") {
		t.Errorf("versions %s, %s in %s", old.ID, v.ID, v.Dir)
	}
	if live, err := s.Live(name); err != nil || live.ID != old.ID {
		t.Errorf("Live after Add = %s, %v, want %s", live.ID, err, old.ID)
	}
	newest, err := s.Newest(name)
	if err != nil || newest.ID != v.ID || newest.Skipped != nil {
		t.Errorf("Newest = %s, %v, want %s", newest.ID, err, v.ID)
	}
	setLive(t, s, name, newest)
	live, err := s.Live(name)
	if err != nil || live.ID != v.ID || live.Pair.Fingerprint() != v.Pair.Fingerprint() || live.Dir != v.Dir {
		t.Errorf("Live = %s, %v, want %s", live.ID, err, v.ID)
	}
	if _, id, fp, err := s.LiveLeaf(name); err != nil || id != v.ID || fp != v.Pair.Fingerprint() {
		t.Errorf("LiveLeaf = %s, %v, want %s", id, err, v.ID)
	}
	if found, err := s.Find(name, strings.ToUpper(old.Pair.Fingerprint())); err != nil || found.ID != old.ID {
		t.Errorf("Find = %s, %v, want %s", found.ID, err, old.ID)
	}
	if _, err := s.Find(name, "00"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Find of an unknown fingerprint: %v", err)
	}
	for file, want := range map[string][]byte{
		"fullchain.pem": v.Pair.FullChain(), "cert.pem": v.Pair.Cert(), "chain.pem": v.Pair.ChainPEM(),
		"privkey.pem": v.Pair.Key(), "combined.pem": v.Pair.Combined(),
	} {
		if got, err := os.ReadFile(filepath.Join(s.Dir(name), "live", file)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("live/%s: %v, or another content", file, err)
		}
	}
	if got := entries(t, s.Dir(name)); !slices.Equal(got, []string{"live", "v000001", "v000002"}) {
		t.Errorf("directory holds %q", got)
	}
	must(t, modes(dir))
}

func TestAddRefusesWhatParseDidNotMake(t *testing.T) {
	s := open(t, t.TempDir())
	for _, p := range []*Pair{nil, {}, {Leaf: newCA(t).root}} {
		if _, err := s.Add(name, p); err == nil {
			t.Errorf("Add accepted %v", p)
		}
	}
}

func TestNumbersAreNeverGivenTwice(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	p := ca.pair(t, name)
	v := add(t, s, name, p)
	setLive(t, s, name, v)
	must(t, os.RemoveAll(v.Dir)) // somebody's rm
	if v := add(t, s, name, p); v.ID != "v000002" {
		t.Errorf("after the live version was removed: %s, want v000002", v.ID)
	}
	must(t, os.Mkdir(filepath.Join(s.Dir(name), "v999999"), 0o700))
	v = add(t, s, name, p)
	if v.ID != "v1000000" {
		t.Errorf("after v999999: %s, want v1000000", v.ID)
	}
	if newest, err := s.Newest(name); err != nil || newest.ID != v.ID {
		t.Errorf("Newest = %s, %v, want %s", newest.ID, err, v.ID)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 253)
	for _, tt := range []struct{ name, dir, why string }{
		{"example.org", "example.org", ""},
		{"*.example.org", "_wildcard.example.org", ""},
		{"mail_1-2.x", "mail_1-2.x", ""},
		{long, long, ""},
		{"", "", "is empty"},
		{"*.", "", "is empty"},
		{".", "", "begins with a dot"},
		{"..", "", "begins with a dot"},
		{"../etc", "", "begins with a dot"},
		{"*...", "", "begins with a dot"},
		{"a..b", "", `contains ".."`},
		{"a/b", "", "contains '/'"},
		{"/etc", "", "contains '/'"},
		{`a\b`, "", `contains '\\'`},
		{"a\x00", "", `contains '\x00'`},
		{"a\n", "", `contains '\n'`},
		{"Example.org", "", "contains 'E'"},
		{"ex ample", "", "contains ' '"},
		{"exämple.org", "", "contains 'ä'"},
		{"*", "", "contains '*'"},
		{"*.*.example.org", "", "contains '*'"},
		{"a.*.example.org", "", "contains '*'"},
		{"_wildcard.example.org", "", "wildcard"},
		{long + "a", "", "longer than 253"},
		{"*." + long[2:], "", "too long for a wildcard"},
	} {
		s := &Store{&folder{path: "/certs"}}
		err := CheckName(tt.name)
		if tt.why == "" {
			if err != nil || s.Dir(tt.name) != "/certs/"+tt.dir {
				t.Errorf("%q: %v, %s, want %s", tt.name, err, s.Dir(tt.name), tt.dir)
			}
			continue
		}
		var bad *NameError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.why) || bad.Remedy() == "" {
			t.Errorf("%q: %v, want %q", tt.name, err, tt.why)
		}
		if s.Dir(tt.name) != "/certs/.refused" {
			t.Errorf("Dir(%q) = %s", tt.name, s.Dir(tt.name))
		}
	}
}

func TestBadNamesReachNoFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "state"))
	p := newCA(t).pair(t, name)
	for _, bad := range []string{"", "..", "../x", "a/../../x", "/tmp/x", "a\x00b"} {
		for call, err := range map[string]error{
			"Add":       second(s.Add(bad, p)),
			"Live":      second(s.Live(bad)),
			"Newest":    second(s.Newest(bad)),
			"Find":      second(s.Find(bad, "00")),
			"SetLive":   s.SetLive(bad, Version{ID: "v000001"}),
			"Prune":     s.Prune(bad),
			"Tidy":      s.Tidy(bad),
			"ReadFile":  second(s.ReadFile(bad, "record.json")),
			"WriteFile": s.WriteFile(bad, "record.json", nil),
			"RemoveAll": s.RemoveAll(bad, "pending"),
		} {
			var refused *NameError
			if !errors.As(err, &refused) {
				t.Errorf("%s(%q): %v, want a NameError", call, bad, err)
			}
		}
	}
	add(t, s, name, p)
	for _, bad := range []string{"", ".", "..", "../x", "/etc/passwd", "pending/../../x", "a/b/c", "pending/", "/x", "live", "live/x", "v000001", "v000001/privkey.pem", ".tmp-x", "pending/.x"} {
		for call, err := range map[string]error{
			"ReadFile":  second(s.ReadFile(name, bad)),
			"WriteFile": s.WriteFile(name, bad, nil),
			"RemoveAll": s.RemoveAll(name, bad),
		} {
			var refused *NameError
			if !errors.As(err, &refused) {
				t.Errorf("%s(%q, %q): %v, want a NameError", call, name, bad, err)
			}
		}
	}
	for _, id := range []string{"", "live", "../v000001", "v1", "v0000001", "v000000", "v-00001", "v+00001"} {
		if err := s.SetLive(name, Version{ID: id}); err == nil {
			t.Errorf("SetLive(%q) was accepted", id)
		}
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"state"}) {
		t.Errorf("outside of the store: %q", got)
	}
}

func second[T any](_ T, err error) error { return err }

// TestDamage damages the newest of two versions and makes it live.
func TestDamage(t *testing.T) {
	ca := newCA(t)
	other := ca.pair(t, name)
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		cheap bool // the cheap look sees it too
	}{
		{"chain truncated to nothing", func(t *testing.T, d string) { damage(t, d+"/fullchain.pem", nil) }, true},
		{"chain cut", func(t *testing.T, d string) { damage(t, d+"/fullchain.pem", other.FullChain()[:700]) }, true},
		{"zeros at the end of the chain", func(t *testing.T, d string) {
			damage(t, d+"/fullchain.pem", append(other.FullChain(), make([]byte, 512)...))
		}, true},
		{"huge chain", func(t *testing.T, d string) { must(t, os.Truncate(d+"/fullchain.pem", 1<<40)) }, true},
		{"chain of another key", func(t *testing.T, d string) { damage(t, d+"/fullchain.pem", other.FullChain()) }, false},
		{"no chain", func(t *testing.T, d string) { must(t, os.Remove(d+"/fullchain.pem")) }, true},
		{"key truncated to nothing", func(t *testing.T, d string) { damage(t, d+"/privkey.pem", nil) }, true},
		{"key cut", func(t *testing.T, d string) { damage(t, d+"/privkey.pem", other.Key()[:100]) }, false},
		{"key of another certificate", func(t *testing.T, d string) { damage(t, d+"/privkey.pem", other.Key()) }, false},
		{"no key", func(t *testing.T, d string) { must(t, os.Remove(d+"/privkey.pem")) }, true},
		{"combined file cut", func(t *testing.T, d string) { damage(t, d+"/combined.pem", nil) }, false},
		{"no chain.pem", func(t *testing.T, d string) { must(t, os.Remove(d+"/chain.pem")) }, false},
		{"chain is a link", func(t *testing.T, d string) {
			must(t, os.Rename(d+"/fullchain.pem", d+"/x"))
			must(t, os.Symlink("x", d+"/fullchain.pem"))
		}, true},
		{"chain is a directory", func(t *testing.T, d string) {
			must(t, os.Remove(d+"/fullchain.pem"))
			must(t, os.Mkdir(d+"/fullchain.pem", 0o700))
		}, true},
		{"version is a link", func(t *testing.T, d string) {
			must(t, os.Rename(d, d+"x"))
			must(t, os.Symlink(filepath.Base(d)+"x", d))
		}, true},
		{"version is a file", func(t *testing.T, d string) {
			must(t, os.RemoveAll(d))
			damage(t, d, []byte("x"))
		}, true},
		{"version is empty", func(t *testing.T, d string) {
			must(t, os.RemoveAll(d))
			must(t, os.Mkdir(d, 0o700))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			good := add(t, s, name, ca.pair(t, name))
			bad := add(t, s, name, ca.pair(t, name))
			setLive(t, s, name, bad)
			tt.spoil(t, bad.Dir)

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
	var broken *BrokenError
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
			var failed *WriteError
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

func TestPrune(t *testing.T) {
	ca := newCA(t)
	for _, tt := range []struct {
		name   string
		total  int
		live   int
		broken []int
		keep   []int // by fingerprint
		want   []int
	}{
		{"newest is live", 6, 6, nil, nil, []int{4, 5, 6}},
		{"few", 3, 3, nil, nil, []int{1, 2, 3}},
		{"nothing live", 5, 0, nil, nil, []int{3, 4, 5}},
		{"rolled back", 7, 4, nil, nil, []int{2, 3, 4, 5, 6, 7}},
		{"long rolled back", 9, 3, nil, nil, []int{1, 2, 3, 7, 8, 9}},
		{"a deployment still serves the first", 6, 6, nil, []int{1}, []int{1, 4, 5, 6}},
		{"newest is broken", 6, 5, []int{6}, nil, []int{3, 4, 5, 6}},
		{"an old one is broken", 6, 6, []int{5}, nil, []int{3, 4, 6}},
		{"live is broken", 6, 4, []int{4}, nil, []int{2, 3, 4, 5, 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			var keep []string
			for n := 1; n <= tt.total; n++ {
				v := add(t, s, name, ca.pair(t, name))
				if n == tt.live {
					setLive(t, s, name, v)
				}
				if slices.Contains(tt.broken, n) {
					damage(t, v.Dir+"/privkey.pem", nil)
				}
				if slices.Contains(tt.keep, n) {
					keep = append(keep, v.Pair.Fingerprint())
				}
			}
			must(t, s.Prune(name, keep...))
			var want []string
			if tt.live > 0 {
				want = append(want, "live")
			}
			for _, n := range tt.want {
				want = append(want, versionID(n))
			}
			if got := entries(t, s.Dir(name)); !slices.Equal(got, want) {
				t.Errorf("kept %q, want %q", got, want)
			}
		})
	}
}

func TestPruneWhenInDoubt(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	for range 5 {
		add(t, s, name, ca.pair(t, name))
	}
	must(t, os.Symlink("elsewhere", filepath.Join(s.Dir(name), "live")))
	if err := s.Prune(name); !isBroken(err) {
		t.Errorf("Prune without knowing what is live: %v", err)
	}
	if n := len(entries(t, s.Dir(name))); n != 6 {
		t.Errorf("%d entries left, want all 6", n)
	}
	must(t, s.Prune("unknown.example.org"))
}

func TestStateFiles(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.ReadFile(name, "record.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile before any: %v", err)
	}
	must(t, s.RemoveAll(name, "pending"))
	must(t, s.WriteFile(name, "pending/key.pem", []byte("key")))
	must(t, s.WriteFile(name, "record.json", []byte("one, longer")))
	must(t, s.WriteFile(name, "record.json", []byte("two")))
	for file, want := range map[string]string{"record.json": "two", "pending/key.pem": "key"} {
		if got, err := s.ReadFile(name, file); err != nil || string(got) != want {
			t.Errorf("ReadFile(%s) = %q, %v, want %q", file, got, err, want)
		}
	}
	must(t, modes(s.certs.path))
	must(t, s.RemoveAll(name, "pending/none"))
	must(t, s.RemoveAll(name, "pending"))
	must(t, s.RemoveAll(name, "pending/key.pem"))
	if _, err := s.ReadFile(name, "pending/key.pem"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile after RemoveAll: %v", err)
	}
	if got := entries(t, s.Dir(name)); !slices.Equal(got, []string{"record.json"}) {
		t.Errorf("directory holds %q", got)
	}
	must(t, os.Truncate(filepath.Join(s.Dir(name), "record.json"), maxStateFile+1))
	if _, err := s.ReadFile(name, "record.json"); !isBroken(err) {
		t.Errorf("ReadFile of a huge file: %v", err)
	}
	if err := s.WriteFile(name, "record.json", make([]byte, maxStateFile+1)); err == nil {
		t.Error("WriteFile wrote what ReadFile refuses")
	}
}

// TestPlantedLinks puts symbolic links where the store reads and writes. What
// they point to must stay unread and untouched.
func TestPlantedLinks(t *testing.T) {
	ca := newCA(t)
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	must(t, os.Mkdir(victim, 0o700))
	damage(t, filepath.Join(victim, "key.pem"), []byte("secret"))
	s := open(t, filepath.Join(dir, "state"))
	add(t, s, name, ca.pair(t, name))
	must(t, os.Symlink(filepath.Join(victim, "key.pem"), filepath.Join(s.Dir(name), "record.json")))
	must(t, os.Symlink("v000001/privkey.pem", filepath.Join(s.Dir(name), "inside.json")))
	must(t, os.Symlink(victim, filepath.Join(s.Dir(name), "pending")))
	must(t, os.Symlink(victim, filepath.Join(s.Dir(name), ".tmp-planted")))
	must(t, os.Symlink(name, s.Dir("alias.example.org")))

	for _, file := range []string{"record.json", "inside.json", "pending/key.pem"} {
		if got, err := s.ReadFile(name, file); !isBroken(err) {
			t.Errorf("ReadFile(%s) = %q, %v, want a BrokenError", file, got, err)
		}
	}
	if err := s.WriteFile(name, "pending/key.pem", []byte("new")); err == nil {
		t.Error("WriteFile wrote through a link to a directory")
	}
	if err := s.RemoveAll(name, "pending/key.pem"); err == nil {
		t.Error("RemoveAll went through a link to a directory")
	}
	must(t, s.WriteFile(name, "record.json", []byte("new")))
	if got, err := s.ReadFile(name, "record.json"); err != nil || string(got) != "new" {
		t.Errorf("the link was not replaced: %q, %v", got, err)
	}
	must(t, s.RemoveAll(name, "pending"))
	must(t, s.Tidy(name))
	for call, err := range map[string]error{
		"Add":    second(s.Add("alias.example.org", ca.pair(t, name))),
		"Newest": second(s.Newest("alias.example.org")),
		"Tidy":   s.Tidy("alias.example.org"),
	} {
		if !isBroken(err) {
			t.Errorf("%s through a link: %v, want a BrokenError", call, err)
		}
	}
	if got := entries(t, s.Dir(name)); !slices.Equal(got, []string{"inside.json", "record.json", "v000001"}) {
		t.Errorf("directory holds %q", got)
	}
	if got, err := os.ReadFile(filepath.Join(victim, "key.pem")); err != nil || string(got) != "secret" {
		t.Errorf("the victim was touched: %q, %v", got, err)
	}
}

func TestTidy(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	must(t, s.Tidy(name))
	setLive(t, s, name, add(t, s, name, ca.pair(t, name)))
	must(t, s.WriteFile(name, "pending/key.pem", []byte("key")))
	d := s.Dir(name)
	must(t, os.Mkdir(d+"/.tmp-v000002-0011223344556677", 0o700))
	damage(t, d+"/.tmp-v000002-0011223344556677/privkey.pem", []byte("x"))
	must(t, os.Symlink("v000002", d+"/.tmp-live-0011223344556677"))
	damage(t, d+"/.record.json.0011223344556677.tmp", []byte("x"))
	damage(t, d+"/pending/.key.pem.0011223344556677.tmp", []byte("x"))
	damage(t, d+"/.keep", []byte("x"))
	must(t, s.Tidy(name))
	if got := entries(t, d); !slices.Equal(got, []string{".keep", "live", "pending", "v000001"}) {
		t.Errorf("directory holds %q", got)
	}
	if got := entries(t, d+"/pending"); !slices.Equal(got, []string{"key.pem"}) {
		t.Errorf("pending holds %q", got)
	}
}

func TestUmask(t *testing.T) {
	p := newCA(t).pair(t, name)
	tmp := t.TempDir()
	damage(t, tmp+"/chain", p.FullChain())
	damage(t, tmp+"/key", p.Key())
	for _, mask := range []string{"0", "022", "027", "077", "0177", "0777"} {
		dir := filepath.Join(tmp, "umask"+mask, "state")
		cmd := exec.Command(os.Args[0], dir, mask, tmp+"/chain", tmp+"/key")
		cmd.Env = helperEnviron("umask")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("umask %s: %v: %s", mask, err, out)
			continue
		}
		if err := modes(filepath.Dir(dir)); err != nil {
			t.Errorf("umask %s: %v", mask, err)
		}
		if v, err := open(t, dir).Live(name); err != nil {
			t.Errorf("umask %s: %v, %v", mask, v, err)
		}
	}
}

func TestManyNamesAtOnce(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	done := make(chan error)
	const n = 16
	for i := range n {
		p := ca.pair(t, name)
		go func() {
			name := fmt.Sprintf("n%d.example.org", i)
			v, err := s.Add(name, p)
			if err == nil {
				err = s.SetLive(name, v)
			}
			if err == nil {
				err = s.Prune(name)
			}
			done <- err
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
