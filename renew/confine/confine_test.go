package confine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew/testutil"
)

// A file is in a directory by its name, and by where links lead.
func TestHolds(t *testing.T) {
	dir := t.TempDir()
	state, etc := filepath.Join(dir, "state"), filepath.Join(dir, "etc")
	for _, d := range []string{state, etc} {
		testutil.Must(t, os.Mkdir(d, 0o700))
	}
	write := func(path string) string { testutil.Must(t, os.WriteFile(path, nil, 0o600)); return path }
	link := func(to, path string) string { testutil.Must(t, os.Symlink(to, path)); return path }
	inside, outside := write(filepath.Join(state, "hook")), write(filepath.Join(etc, "hook"))
	byName := link(state, filepath.Join(dir, "link"))
	for path, want := range map[string]bool{
		inside: true, outside: false, state: false, state + "x/hook": false, state + "/missing": true, etc + "/missing": false,
		byName + "/hook": true,
		link(inside, filepath.Join(etc, "to-inside")):     true,
		link(outside, filepath.Join(state, "to-outside")): true, // the link can be changed
	} {
		r := Rights{Write: []string{"/nowhere", state}}
		if got := r.Holds(path) == state; got != want {
			t.Errorf("%s is held: %v, want %v", path, got, want)
		}
	}
	if r := (Rights{Write: []string{byName}}); r.Holds(inside) != byName || r.Holds(outside) != "" {
		t.Error("a directory is not known by a link to it")
	}
}

// A directory in the place of a known one is not covered.
func TestCovers(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	testutil.Must(t, os.Mkdir(state, 0o700))
	id, _ := inodeOf(state)
	r := Rights{held: map[inode]bool{id: true}}
	link := filepath.Join(dir, "link")
	testutil.Must(t, os.Symlink(state, link))
	for _, path := range []string{state, link, state + "/certs/x", link + "/missing"} {
		if !r.Covers(Rights{Write: []string{path}}) {
			t.Errorf("%s is not covered", path)
		}
	}
	testutil.Must(t, os.Rename(state, state+"-old"))
	testutil.Must(t, os.Mkdir(state, 0o700))
	for _, path := range []string{state, dir, "/", strings.Repeat("/x", 3)} {
		if r.Covers(Rights{Write: []string{path}}) {
			t.Errorf("%s is covered", path)
		}
	}
	here := Rights{Connect: []string{dir}}
	id, _ = inodeOf(dir)
	if r = (Rights{held: map[inode]bool{id: true}}); r.Covers(here) {
		t.Error("a unix socket is covered, and there was none")
	}
	if r.Connect = here.Connect; !r.Covers(here) {
		t.Error("a unix socket is not covered")
	}
}
