//go:build amd64 || arm64

package main

import (
	"strings"
	"syscall"
	"testing"
)

// The state directory is on a file system that lacks something: check says so, and
// nothing is ordered.
func TestFileSystemLacks(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	d := newDisk(t)
	const within = `^(state/|\.tmp-try-)` // check tries beside a state directory that is to be made
	for _, tt := range []struct {
		name  string
		fault fault
		says  string
	}{
		{"symbolic links", about("symlink", syscall.EPERM, within), "writing "},
		{"locks", about("lock", syscall.ENOTSUP, within), "locking: writing "},
		{"locks of a share", about("lock", syscall.ENOLCK, within), "locking: writing "},
		{"fsync", about("fsync", syscall.EINVAL, within), "writing "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, command := range []string{"check", "issue"} {
				cmd, text := d.command(command)
				s := sabotage(t, d.dir, cmd, tt.fault, strings.Fields(tt.fault.calls)...)
				err := s.wait()
				out := text.String()
				if err == nil || s.count() == 0 {
					t.Errorf("%s: %v, %d calls failed\n%s", command, err, s.count(), out)
				}
				if !strings.Contains(out, tt.says) || !strings.Contains(out, "choose a directory in place of "+d.file("state")+" on a file system with symbolic links") || strings.Contains(out, "root") {
					t.Errorf("%s says:\n%s", command, out)
				}
			}
			if placed, _ := d.ca.orders(); placed != 0 {
				t.Errorf("%d orders", placed)
			}
		})
	}
	// The directory of deployed files is on a share with root_squash.
	cmd, text := d.command("check", "-live")
	f := about("give", syscall.EPERM, "^tls/")
	s := sabotage(t, d.dir, cmd, f, f.calls)
	err := s.wait()
	if out := text.String(); err == nil || !strings.Contains(out, "failed") || !strings.Contains(out, "see why root may not write "+d.file("tls")+": it may be immutable, on FAT") {
		t.Errorf("check -live: %v\n%s", err, out)
	}
	d.run(0)
}
