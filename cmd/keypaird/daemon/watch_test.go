package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/status"
	"keypaird/renew/testutil"
)

// A change of files is reported once, when they did not change again since the last
// check. The first check reports nothing.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		// A new file each time: two writes to one may come in the same instant.
		testutil.Must(t, os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o600))
		testutil.Must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)))
	}
	subjects := []status.Subject{{Target: renew.Target{Name: "ordered"}}}
	for _, name := range []string{"a", "b"} {
		s := status.Subject{Target: renew.Target{Name: name, External: &renew.External{Source: keypair.Source{
			Chain: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key"),
		}}}}
		subjects = append(subjects, s)
	}
	var files fileWatch
	for _, tt := range []struct {
		name string
		do   func()
		want bool
	}{
		{"first look", func() { write("a.pem", "1") }, false},
		{"nothing", func() {}, false},
		{"one file changed", func() { write("a.pem", "22") }, false},
		{"its key changed as well", func() { write("a.key", "1") }, false},
		{"at rest", func() {}, true},
		{"reported already", func() {}, false},
		{"two targets changed", func() { write("a.pem", "333"); write("b.pem", "1") }, false},
		{"at rest again", func() {}, true},
		{"removed", func() { testutil.Must(t, os.Remove(filepath.Join(dir, "b.pem"))) }, false},
		{"still removed", func() {}, true},
		{"that is reported already", func() {}, false},
	} {
		tt.do()
		if got := files.changed(subjects); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
