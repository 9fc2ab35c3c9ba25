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

// A link in place of the file stays, and the file that it leads to is replaced: so
// does certbot's live directory go on leading to its archive.
func TestTargetFileIsALink(t *testing.T) {
	dir := safeDir(t)
	for _, sub := range []string{"/live", "/archive"} {
		if err := os.Mkdir(dir+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := Deployment{Name: "x", Chain: dir + "/live/fullchain.pem", Key: dir + "/live/privkey.pem", Leaf: dir + "/live/cert.pem", Intermediates: dir + "/live/chain.pem"}
	for _, name := range []string{"fullchain", "privkey", "cert", "chain"} {
		write(t, dir+"/archive/"+name+"1.pem", "old")
		if err := os.Symlink("../archive/"+name+"1.pem", dir+"/live/"+name+".pem"); err != nil {
			t.Fatal(err)
		}
	}
	p := good(t, plain)
	if d.Holds(plain, p) {
		t.Error("Holds is true for other files")
	}
	if err := d.Writable(plain); err != nil {
		t.Fatal(err)
	}
	if err := d.deploy(t.Context(), []renew.Change{{Name: plain, New: p}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"fullchain": p.FullChain(), "privkey": p.Key(), "cert": p.Cert(), "chain": p.ChainPEM()} {
		if to, err := os.Readlink(dir + "/live/" + name + ".pem"); err != nil || to != "../archive/"+name+"1.pem" {
			t.Errorf("link to %q, %v", to, err)
		}
		if got := text(t, dir+"/archive/"+name+"1.pem"); got != string(want) {
			t.Errorf("%s holds %.40q", name, got)
		}
	}
	if i := d.Inspect(plain, p); i.Differs != "" || !d.Holds(plain, p) {
		t.Errorf("Inspect: %q", i.Differs)
	}
	write(t, dir+"/archive/cert1.pem", string(good(t, plain).Cert()))
	if i := d.Inspect(plain, p); !strings.Contains(i.Differs, "archive/cert1.pem has other content") || d.Holds(plain, p) {
		t.Errorf("with another leaf: %q", i.Differs)
	}
	if (FileIDs{}).Of(dir+"/live/cert.pem") != (FileIDs{}).Of(dir+"/archive/cert1.pem") {
		t.Error("FileID tells a link from its file")
	}
}

// A link that leads nowhere, or that others could change, is neither followed nor
// replaced, and found before anything is written.
func TestTargetFileIsABadLink(t *testing.T) {
	for _, tt := range []struct{ name, to, want string }{
		{"to nothing", "none", "is a symbolic link to none, which does not exist"},
		{"to an open directory", "open/real", "open can be written by everyone"},
		{"through an open directory", "open/link", "open can be written by everyone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := safeDir(t)
			if err := errors.Join(os.Mkdir(dir+"/open", 0o755), os.Symlink("../real", dir+"/open/link"), os.Chmod(dir+"/open", 0o777)); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/real", "another program's")
			write(t, dir+"/open/real", "another program's")
			link := filepath.Join(dir, plain+".key")
			if err := os.Symlink(tt.to, link); err != nil {
				t.Fatal(err)
			}
			d := Deployment{Name: "x", Chain: dir + "/{name}.crt", Key: dir + "/{name}.key"}
			e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}}), StepInstall)
			if !strings.Contains(e.Error(), tt.want) || e.Remedy() == "" {
				t.Errorf("error = %q, remedy %q, want %q", e, e.Remedy(), tt.want)
			}
			if err := d.Writable(plain); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Writable = %v", err)
			}
			if to, err := os.Readlink(link); err != nil || to != tt.to || text(t, dir+"/real")+text(t, dir+"/open/real") != "another program'sanother program's" || text(t, dir+"/"+plain+".crt") != "(none)" {
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
	if !strings.Contains(e.Error(), "would be written twice, with different content") {
		t.Errorf("error = %q", e)
	}
	if id := (FileIDs{}).Of; id(dir+"/a/x") != id(dir+"/b/x") || id(dir+"/a/x") == id(dir+"/a/y") || id("/no/such/x") != "/no/such/x" {
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
