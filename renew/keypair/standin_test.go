package keypair

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A stand-in is where servers look for the live version, but is none: the first
// version takes its place, and Prune removes it.
func TestStandIn(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	must(t, s.SetStandIn(name, ca.pair(t, name)))
	chain := filepath.Join(s.Dir(name), "live", "fullchain.pem")
	if _, err := os.Stat(chain); err != nil {
		t.Error(err)
	}
	if _, err := s.Live(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Live = %v, want none", err)
	}
	if _, err := s.Newest(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Newest = %v, want none", err)
	}
	must(t, s.Prune(name))
	if err := s.SetStandIn(name, ca.pair(t, name)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second stand-in: %v, want one that exists", err)
	}
	v := add(t, s, name, ca.pair(t, name))
	if v.ID != "v000001" {
		t.Errorf("the first version is %s", v.ID)
	}
	setLive(t, s, name, v)
	must(t, s.Prune(name))
	if _, err := os.Lstat(filepath.Join(s.Dir(name), standInDir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the first version is live, its directory: %v, want none", err)
	}
	if err := s.SetStandIn(name, ca.pair(t, name)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a stand-in over a version: %v, want one that exists", err)
	}
}
