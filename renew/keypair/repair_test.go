package keypair

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/durable"
)

// TestRepair damages files of a version that is live. What follows from chain and key is
// written again, as is one of the two that combined.pem has, too; the other files stay.
func TestRepair(t *testing.T) {
	ca := newCA(t)
	other := ca.pair(t, name)
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, d string)
		found []string // below the version
		lost  string   // of the error: the pair cannot be restored
	}{
		{"nothing", func(t *testing.T, d string) {}, nil, ""},
		{"emptied", func(t *testing.T, d string) { damage(t, d+"/cert.pem", nil) }, []string{"cert.pem is empty"}, ""},
		{"missing", func(t *testing.T, d string) { must(t, os.Remove(d+"/chain.pem")) }, []string{"chain.pem is gone"}, ""},
		{"exchanged", func(t *testing.T, d string) {
			damage(t, d+"/combined.pem", other.Combined())
			later(t, d+"/combined.pem")
		}, []string{"combined.pem has other content"}, ""},
		{"exchanged, as large, later", func(t *testing.T, d string) { rot(t, d+"/cert.pem") }, []string{"cert.pem has other content"}, ""},
		{"huge", func(t *testing.T, d string) { must(t, os.Truncate(d+"/cert.pem", 1<<40)) }, []string{"cert.pem is larger than 1024 KiB"}, ""},
		{"all three", func(t *testing.T, d string) {
			for _, file := range []string{"cert.pem", "chain.pem", "combined.pem"} {
				damage(t, d+"/"+file, []byte("x"))
			}
		}, []string{"cert.pem has other content", "chain.pem has other content", "combined.pem has other content"}, ""},
		{"modes", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/privkey.pem", 0o644))
			must(t, os.Chmod(d+"/fullchain.pem", 0o400))
		}, []string{"fullchain.pem has mode 0400, not 0600", "privkey.pem has mode 0644, not 0600"}, ""},
		{"a link", func(t *testing.T, d string) {
			must(t, os.Remove(d+"/cert.pem"))
			must(t, os.Symlink("fullchain.pem", d+"/cert.pem"))
		}, []string{"cert.pem is not a regular file"}, ""},
		{"a pipe", func(t *testing.T, d string) {
			must(t, os.Remove(d+"/combined.pem"))
			must(t, syscall.Mkfifo(d+"/combined.pem", 0o600))
		}, []string{"combined.pem is not a regular file"}, ""},
		{"key emptied", func(t *testing.T, d string) { damage(t, d+"/privkey.pem", nil) }, []string{"privkey.pem is empty"}, ""},
		{"key missing", func(t *testing.T, d string) { must(t, os.Remove(d+"/privkey.pem")) }, []string{"privkey.pem is gone"}, ""},
		{"key exchanged, later", func(t *testing.T, d string) {
			damage(t, d+"/privkey.pem", other.Key())
			later(t, d+"/privkey.pem")
		}, []string{"privkey.pem has other content"}, ""},
		{"key is a pipe", func(t *testing.T, d string) {
			must(t, os.Remove(d+"/privkey.pem"))
			must(t, syscall.Mkfifo(d+"/privkey.pem", 0o600))
		}, []string{"privkey.pem is not a regular file"}, ""},
		{"chain cut", func(t *testing.T, d string) { must(t, os.Truncate(d+"/fullchain.pem", 500)) }, []string{"fullchain.pem has other content"}, ""},
		{"chain is the leaf alone", func(t *testing.T, d string) {
			cert, err := os.ReadFile(d + "/cert.pem")
			must(t, err)
			damage(t, d+"/fullchain.pem", cert)
		}, []string{"fullchain.pem has other content"}, ""},
		{"chain and key of another pair", func(t *testing.T, d string) {
			damage(t, d+"/fullchain.pem", other.FullChain())
			damage(t, d+"/privkey.pem", other.Key())
			later(t, d+"/privkey.pem")
		}, []string{"fullchain.pem has other content", "privkey.pem has other content"}, ""},
		{"the others lack the rest of the chain", func(t *testing.T, d string) {
			cert, err := os.ReadFile(d + "/cert.pem")
			key, keyErr := os.ReadFile(d + "/privkey.pem")
			must(t, errors.Join(err, keyErr))
			damage(t, d+"/combined.pem", append(key, cert...))
			damage(t, d+"/chain.pem", nil)
		}, []string{"chain.pem is empty", "combined.pem has other content"}, ""},
		{"chain and key missing", func(t *testing.T, d string) {
			must(t, os.Remove(d+"/fullchain.pem"))
			must(t, os.Remove(d+"/privkey.pem"))
		}, []string{"fullchain.pem is gone", "privkey.pem is gone"}, ""},
		{"key lost", func(t *testing.T, d string) {
			damage(t, d+"/privkey.pem", nil)
			damage(t, d+"/combined.pem", nil)
		}, nil, "/privkey.pem: private key: empty"},
		{"key lost, the other file is another pair's", func(t *testing.T, d string) {
			damage(t, d+"/privkey.pem", nil)
			damage(t, d+"/combined.pem", other.Combined())
		}, nil, "/privkey.pem: private key: empty"},
		{"chain lost", func(t *testing.T, d string) {
			damage(t, d+"/fullchain.pem", []byte("-----BEGIN CERTIFICATE-----"))
			must(t, os.Remove(d+"/combined.pem"))
		}, nil, "/fullchain.pem: certificate chain: "},
		{"pair of a key and another chain", func(t *testing.T, d string) {
			damage(t, d+"/fullchain.pem", other.FullChain())
			damage(t, d+"/combined.pem", nil)
		}, nil, ": private key does not belong to the certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			v := add(t, s, name, ca.pair(t, name))
			setLive(t, s, name, v)
			tt.spoil(t, v.Dir)
			before := filesIn(t, v.Dir)
			l, err := s.Look(name, "record.json")
			if must(t, err); (len(l.Damaged) > 0) != (len(tt.found) > 0 || tt.lost != "") {
				t.Fatalf("a look says that %q are damaged", l.Damaged)
			}
			var found []string
			for _, id := range l.Damaged {
				err = s.Repair(name, id, func(list []Damage) {
					for _, d := range list {
						found = append(found, strings.TrimPrefix(d.String(), v.Dir+"/"))
						if d.ModeOnly != (tt.name == "modes") {
							t.Errorf("%v: the mode alone: %v", d, d.ModeOnly)
						}
					}
				})
			}
			if !slices.Equal(found, tt.found) {
				t.Errorf("found %q, want %q", found, tt.found)
			}
			if tt.lost != "" {
				if !isBroken(err) || !strings.HasPrefix(err.Error(), v.Dir+tt.lost) {
					t.Errorf("Repair: %v, want a BrokenError about %s", err, v.Dir+tt.lost)
				}
				if after := filesIn(t, v.Dir); !slices.Equal(before, after) {
					t.Errorf("files were changed: %q, then %q", before, after)
				}
				return
			}
			must(t, err)
			must(t, modes(v.Dir))
			if again, err := s.Live(name); err != nil || string(again.Pair.Combined()) != string(v.Pair.Combined()) {
				t.Errorf("then Live = %v, %v", again.ID, err)
			}
			if l, err := s.Look(name, "record.json"); err != nil || len(l.Damaged) > 0 {
				t.Errorf("then %q look damaged, %v", l.Damaged, err)
			}
			kept := 5 - len(tt.found)
			for _, file := range filesIn(t, v.Dir) {
				if slices.Contains(before, file) {
					kept--
				}
			}
			if kept > 0 || len(entries(t, v.Dir)) != 5 {
				t.Errorf("%q, then %q: %d good ones were written again", before, filesIn(t, v.Dir), kept)
			}
		})
	}
}

// rot changes a byte, and leaves size and mode.
func rot(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	data[100] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
	later(t, path)
}

// later has a file look as if it was written an hour after the others.
func later(t *testing.T, path string) {
	t.Helper()
	at := time.Now().Add(time.Hour)
	must(t, os.Chtimes(path, at, at))
}

// filesIn are the files of a directory with their inodes.
func filesIn(t *testing.T, dir string) (list []string) {
	t.Helper()
	for _, file := range entries(t, dir) {
		info, err := os.Lstat(filepath.Join(dir, file))
		must(t, err)
		st, _ := info.Sys().(*syscall.Stat_t)
		list = append(list, fmt.Sprintf("%s %d", file, st.Ino))
	}
	return list
}

// A file that was only touched, or written with other ends of lines, is right.
func TestRepairNothing(t *testing.T) {
	s := open(t, t.TempDir())
	v := add(t, s, name, newCA(t).pair(t, name))
	setLive(t, s, name, v)
	later(t, v.Dir+"/cert.pem")
	damage(t, v.Dir+"/chain.pem", []byte(strings.ReplaceAll(string(v.Pair.ChainPEM()), "\n", "\r\n")))
	if l, err := s.Look(name, "x"); err != nil || !slices.Equal(l.Damaged, []string{v.ID}) {
		t.Fatalf("damaged: %q, %v", l.Damaged, err)
	}
	before := filesIn(t, v.Dir)
	must(t, s.Repair(name, v.ID, func(found []Damage) { t.Errorf("found %q", found) }))
	if after := filesIn(t, v.Dir); !slices.Equal(before, after) {
		t.Errorf("%q, then %q", before, after)
	}
	must(t, os.WriteFile(v.Dir+"/chain.pem", v.Pair.ChainPEM(), 0o600))
	if l, err := s.Look(name, "x"); err != nil || len(l.Damaged) > 0 {
		t.Errorf("the time was not put right: %q, %v", l.Damaged, err)
	}
}

// A directory is in place of a file: it stays, the error says so, and the others are repaired.
func TestRepairDirectory(t *testing.T) {
	s := open(t, t.TempDir())
	v := add(t, s, name, newCA(t).pair(t, name))
	must(t, os.Remove(v.Dir+"/cert.pem"))
	must(t, os.MkdirAll(v.Dir+"/cert.pem/x", 0o700))
	damage(t, v.Dir+"/combined.pem", nil)
	var found []Damage
	err := s.Repair(name, v.ID, func(list []Damage) { found = list })
	if failed, ok := errors.AsType[*durable.WriteError](err); !ok || !strings.HasPrefix(failed.Remedy(), "move "+v.Dir+"/cert.pem out of the way") || len(found) != 2 {
		t.Errorf("Repair found %q: %v", found, err)
	}
	if info, err := os.Stat(v.Dir + "/cert.pem/x"); err != nil || !info.IsDir() {
		t.Error("the directory was removed")
	}
	if data, err := os.ReadFile(v.Dir + "/combined.pem"); err != nil || string(data) != string(v.Pair.Combined()) {
		t.Errorf("the other file: %.20q, %v", data, err)
	}
}

// A key that other users can read may have been copied: that stays to be seen until the
// operator has taken another.
func TestRepairLeavesExposed(t *testing.T) {
	dir, err := os.MkdirTemp("", "repair") // t.TempDir is below a directory that others cannot reach
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := open(t, dir)
	v := add(t, s, name, newCA(t).pair(t, name))
	for at := v.Dir; at != filepath.Dir(dir); at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755))
	}
	for at := dir; at != "/"; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode()&0o001 == 0 {
			t.Skipf("other users cannot reach %s", at)
		}
	}
	for _, file := range []string{"privkey.pem", "cert.pem"} {
		must(t, os.Chmod(v.Dir+"/"+file, 0o644))
	}
	must(t, s.Repair(name, v.ID, func(found []Damage) { t.Errorf("found %q", found) }))
	must(t, os.Chmod(dir, 0o700))
	var found []Damage
	must(t, s.Repair(name, v.ID, func(list []Damage) { found = list }))
	if len(found) != 2 {
		t.Errorf("out of the reach of others, found %q", found)
	}
}

// Only the newest version that can be used, those after it and the live one are looked at.
func TestLookDamaged(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	var v []Version
	for range 4 {
		v = append(v, add(t, s, name, ca.pair(t, name)))
	}
	setLive(t, s, name, v[1])
	damage(t, v[0].Dir+"/cert.pem", nil)
	damage(t, v[1].Dir+"/cert.pem", nil)
	damage(t, v[3].Dir+"/privkey.pem", nil)
	l, err := s.Look(name, "x")
	if must(t, err); l.Version != v[2].ID || !slices.Equal(l.Damaged, []string{v[3].ID, v[1].ID}) {
		t.Errorf("newest is %s, damaged are %q", l.Version, l.Damaged)
	}
	if err := s.Repair("other.example.org", "v000001", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Repair of a name without a directory: %v", err)
	}
}
