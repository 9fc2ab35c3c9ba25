package confine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew/testutil"
)

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
