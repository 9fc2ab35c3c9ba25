package keypair

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"keypaird/renew/testutil"
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
	if id, err := s.LiveID(name); err != nil || id != v.ID {
		t.Errorf("LiveID = %s, %v, want %s", id, err, v.ID)
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

func second[T any](_ T, err error) error { return err }

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

// A store that something else was put in the place of is told from one that is
// where it was.
func TestMoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	check := func(what string, want bool) {
		t.Helper()
		if moved, err := s.Moved(); moved != want || err != nil {
			t.Errorf("%s: %v, %v", what, moved, err)
		}
	}
	check("as it was", false)
	must(t, os.Rename(dir, dir+".old"))
	if _, err := s.Moved(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	must(t, os.CopyFS(dir, os.DirFS(dir+".old")))
	check("a copy", true)
	must(t, os.RemoveAll(dir))
	must(t, os.Symlink(dir+".old", dir))
	check("back again, behind a link", false)
}

// A version is verified once as long as its pair is in use, and again when its files have
// changed. Pairs that are no longer in use are not kept.
func TestReadAgain(t *testing.T) {
	s := open(t, t.TempDir())
	v := add(t, s, name, newCA(t).pair(t, name))
	first, err := s.Newest(name)
	must(t, err)
	again, err := s.Newest(name)
	if must(t, err); again.Pair != first.Pair || first.Pair != v.Pair {
		t.Error("the same files were parsed twice")
	}
	damage(t, filepath.Join(v.Dir, keyFile), newCA(t).pair(t, name).Key())
	if _, err := s.Newest(name); err == nil {
		t.Error("the key of another certificate was accepted")
	}
	runtime.KeepAlive(first)
	first, again = Version{}, Version{}
	known := func() (n int) {
		s.read.known.Range(func(any, any) bool { n++; return true })
		return n
	}
	testutil.Eventually(t, "unused pairs are forgotten", func() bool { runtime.GC(); return known() == 0 })
}
