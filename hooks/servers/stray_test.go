package servers

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"keypaird/hooks"
	"keypaird/renew/keypair"
)

// beside is the story of a server that takes every certificate in a directory:
// old pairs are left there, as people do. Which of several for one name is
// served is up to the server; whatever it does, a person is told of the files.
func (r *rig) beside() {
	r.t.Helper()
	var files []string
	for i := range 9 {
		files = append(files, r.copyOf(r.live[plain], fmt.Sprintf("%c-old-%d", "az"[i%2], i))...)
	}
	var log bytes.Buffer
	d := r.d
	d.Log = slog.New(slog.NewTextHandler(&log, nil))
	next := r.fresh()
	err := d.Deploy(r.t.Context(), r.changes(next))
	r.t.Logf("beside old ones: %v", err)
	if !strings.Contains(log.String(), "a-old-0") {
		r.t.Errorf("no warning of the files: %s", log.String())
	}
	if err == nil {
		r.live = next
	} else if e, ok := errors.AsType[*hooks.Error](err); !ok || !strings.Contains(e.Error(), "is for the same name") || !strings.Contains(e.Remedy(), "a-old-0") {
		r.t.Errorf("error %q does not name the files", err)
	} else {
		r.live[host] = next[host] // nothing is wrong with that
	}
	r.sees("beside old ones", r.live)
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			r.t.Fatal(err)
		}
	}
	r.renew("without them")
}

// copyOf puts a pair beside those of the targets, readable as they are.
func (r *rig) copyOf(p *keypair.Pair, name string) []string {
	r.t.Helper()
	d := r.d
	d.Check, d.Reload, d.Verify = nil, nil, nil
	if err := d.Deploy(r.t.Context(), []hooks.Change{{Name: name, New: p}}); err != nil {
		r.t.Fatal(err)
	}
	var files []string
	for _, f := range d.Paths(name) {
		files = append(files, filepath.Clean(f))
	}
	return files
}
