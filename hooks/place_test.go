package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// A link in place of the file may lead to what belongs to another program. It is
// neither followed nor replaced, and found before anything is written.
func TestTargetFileIsALink(t *testing.T) {
	for _, tt := range []struct{ name, to string }{{"to a file", "real"}, {"to nothing", "none"}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := safeDir(t)
			write(t, dir+"/real", "another program's")
			link := filepath.Join(dir, plain+".key")
			if err := os.Symlink(tt.to, link); err != nil {
				t.Fatal(err)
			}
			d := Deployment{Name: "x", Chain: dir + "/{name}.crt", Key: dir + "/{name}.key"}
			e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}}), StepInstall)
			if want := link + " is a symbolic link to " + tt.to; !strings.Contains(e.Error(), want) || !strings.Contains(e.Remedy(), "remove the link") {
				t.Errorf("error = %q, remedy %q, want %q", e, e.Remedy(), want)
			}
			if err := d.Writable(plain); err == nil || !strings.Contains(err.Error(), "is a symbolic link") {
				t.Errorf("Writable = %v", err)
			}
			if to, err := os.Readlink(link); err != nil || to != tt.to || text(t, dir+"/real") != "another program's" || text(t, dir+"/"+plain+".crt") != "(none)" {
				t.Errorf("something was written: link %q, %v", to, err)
			}
		})
	}
}

// Two targets whose paths differ, but lead to one file, are told from two files.
func TestOneFileByTwoPaths(t *testing.T) {
	dir := safeDir(t)
	if err := errors.Join(os.Mkdir(dir+"/a", 0o755), os.Symlink("a", dir+"/b")); err != nil {
		t.Fatal(err)
	}
	d := Deployment{Name: "x", Chain: dir + "/a/x.pem", Key: dir + "/b/x.pem"}
	e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}}), StepInstall)
	if !strings.Contains(e.Error(), "is to hold two things") {
		t.Errorf("error = %q", e)
	}
	if FileID(dir+"/a/x") != FileID(dir+"/b/x") || FileID(dir+"/a/x") == FileID(dir+"/a/y") || FileID("/no/such/x") != "/no/such/x" {
		t.Error("FileID is wrong")
	}
}

// What a unit's sandbox hides, or makes read-only, has a remedy that names the
// setting.
func TestRemediesOfASandbox(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dirError("/home/x/certs/a.pem", os.ErrNotExist), "ProtectHome="},
		{dirError("/root/a.pem", syscall.EACCES), "ProtectHome="},
		{dirError("/tmp/certs/a.pem", syscall.ENOENT), "PrivateTmp="},
		{&durable.WriteError{Path: "/etc/haproxy/certs/a.pem", Err: syscall.EROFS}, "ReadWritePaths=/etc/haproxy/certs"},
	} {
		if got := problem.Remedy(tt.err); !strings.Contains(got, tt.want) {
			t.Errorf("%v: remedy %q, want %q", tt.err, got, tt.want)
		}
	}
	if got := problem.Remedy(dirError("/etc/x/a.pem", os.ErrNotExist)); strings.Contains(got, "systemd") {
		t.Errorf("remedy %q speaks of a sandbox", got)
	}
	d := Deployment{Name: "x", Chain: safeDir(t) + "/none/{name}.crt"}
	e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}}), StepInstall)
	if !strings.Contains(e.Error(), "/none does not exist") || !strings.Contains(e.Remedy(), "create it") {
		t.Errorf("error = %q, remedy %q", e, e.Remedy())
	}
}
