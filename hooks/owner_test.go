package hooks

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

func TestOwner(t *testing.T) {
	u, err := user.LookupId("0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId("0")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		owner, group string
		want         ids
		err          string
	}{
		{"", "", ids{-1, -1}, ""},
		{u.Username, g.Name, ids{0, 0}, ""},
		{"12345", "54321", ids{12345, 54321}, ""},
		{u.Username, "", ids{0, -1}, ""},
		{"", g.Name, ids{-1, 0}, ""},
		{"no-such-user", "", ids{}, `owner "no-such-user": no such user`},
		{"", "no-such-group", ids{}, `group "no-such-group": no such group`},
		{"-1", "", ids{}, `owner "-1": no such user`},
		{"", "99999999999", ids{}, "no such group"},
	} {
		got, err := (&Deployment{Owner: tt.owner, Group: tt.group}).owner()
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("owner %q, group %q = %v, %v, want %v", tt.owner, tt.group, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("owner %q, group %q: %v, want %q", tt.owner, tt.group, err, tt.err)
		}
	}
}

func TestWritable(t *testing.T) {
	dir := safeDir(t)
	fine := Deployment{Name: "x", Chain: dir + "/{name}.crt", Key: dir + "/{name}.key", Owner: strconv.Itoa(os.Geteuid()), Group: strconv.Itoa(os.Getegid())}
	open := safeDir(t)
	os.Chmod(open, 0o777)
	if err := os.Mkdir(dir+"/taken.crt", 0o755); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name string
		set  func(*Deployment) string // returns the target
		want string
	}{
		{"fine", func(*Deployment) string { return plain }, ""},
		{"writes nothing", func(d *Deployment) string { *d = Deployment{Owner: "no-such-user"}; return plain }, ""},
		{"no directory", func(d *Deployment) string { d.Key = dir + "/private/{name}.key"; return plain }, "private does not exist"},
		{"others can write it", func(d *Deployment) string { d.Key = open + "/{name}.key"; return plain }, "can be written by everyone"},
		{"no such owner", func(d *Deployment) string { d.Owner = "no-such-user"; return plain }, "no such user"},
		{"something in the way", func(*Deployment) string { return "taken" }, "is a directory"},
		{"relative", func(d *Deployment) string { d.Chain = "x"; return plain }, "not an absolute path"},
	}
	if os.Geteuid() != 0 {
		shut := safeDir(t)
		os.Chmod(shut, 0o500)
		t.Cleanup(func() { os.Chmod(shut, 0o755) })
		rows = append(rows, []struct {
			name string
			set  func(*Deployment) string
			want string
		}{
			{"not ours to write", func(d *Deployment) string { d.Key = shut + "/{name}.key"; return plain }, "permission denied"},
			{"not ours to give away", func(d *Deployment) string { d.Owner = "0"; return plain }, "only root can change the owner of a file"},
			{"not our group", func(d *Deployment) string { d.Group = "12345"; return plain }, "is not in it"},
		}...)
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			d := fine
			err := d.Writable(tt.set(&d))
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Writable = %v, want %q", err, tt.want)
			}
			if err != nil && problem.Remedy(err) == "" {
				t.Errorf("%v has no remedy", err)
			}
		})
	}
	if names := namesIn(dir); len(names) != 1 {
		t.Errorf("something was changed: %q", names)
	}
}

// Whoever is not root cannot give files to root, and finds that out before
// anything is written.
func TestOwnerAndGroupAreSet(t *testing.T) {
	dir := safeDir(t)
	d := Deployment{Name: "x", Key: dir + "/{name}.key", Chain: dir + "/{name}.crt", Owner: "12345", Group: "12345", KeyMode: 0o640}
	err := d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}})
	if os.Geteuid() != 0 {
		e := failure(t, err, StepInstall)
		if _, ok := errors.AsType[*durable.WriteError](err); !ok || e.RolledBack {
			t.Errorf("Deploy = %v, want a *durable.WriteError", err)
		}
		if names := namesIn(dir); len(names) != 0 {
			t.Errorf("left over: %q", names)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	f, ok, err := read(filepath.Join(dir, plain+".key"))
	if want := (durable.FileMode{Perm: 0o640, UID: 12345, GID: 12345}); !ok || err != nil || f.mode != want {
		t.Errorf("owner and mode = %+v, want %+v", f.mode, want)
	}
}

func TestRunnable(t *testing.T) {
	fine := script(t, "exit 1")
	for _, tt := range []struct {
		name          string
		check, reload []string
		want          string
	}{
		{"nothing to run", nil, nil, ""},
		{"fine", []string{fine}, []string{"sh", "-c", "true"}, ""},
		{"not installed", []string{"keypaird-no-such-program"}, []string{fine}, `hook "keypaird-no-such-program": `},
		{"reload is missing", []string{fine}, []string{fine + ".missing"}, "does not exist"},
	} {
		err := (&Deployment{Check: tt.check, Reload: tt.reload}).Runnable()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	dir := safeDir(t)
	for _, n := range []string{"example.org.crt", "example.org:443.crt", "example.org:8448.crt", "example.org:x.crt", "example.org:443.key", "a.example.org:443.crt", "_wildcard.example.org:443.crt"} {
		write(t, filepath.Join(dir, n), "")
	}
	relayd := Deployment{Name: "front", Chain: dir + "/{name}.crt", Reload: []string{"rcctl", "reload", "relayd"}}
	for _, tt := range []struct {
		name   string
		d      Deployment
		target string
		want   []string
	}{
		{"two ports", relayd, "example.org", []string{dir + "/example.org:443.crt exists", dir + "/example.org:8448.crt exists"}},
		{"a wildcard", relayd, "*.example.org", []string{dir + "/_wildcard.example.org:443.crt exists"}},
		{"none", relayd, "example.net", nil},
		{"not relayd", Deployment{Name: "x", Chain: dir + "/{name}.crt"}, "example.org", nil},
		{"names with the port", Deployment{Name: "relayd", Chain: dir + "/{name}:443.crt"}, "example.org", nil},
		{"everybody reads the key", Deployment{Name: "x", Key: "/x", KeyMode: 0o644}, "example.org", []string{"key_mode 0644 of [deploy.x]"}},
		{"a group reads the key", Deployment{Name: "x", Key: "/x", KeyMode: 0o640}, "example.org", nil},
	} {
		got := tt.d.Warnings(tt.target)
		ok := len(got) == len(tt.want)
		for i := range tt.want {
			ok = ok && strings.HasPrefix(got[i], tt.want[i])
		}
		if !ok {
			t.Errorf("%s: Warnings = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Files of other clients hold more than a pair; what is no pair is never put
// back.
func TestFound(t *testing.T) {
	dir := safeDir(t)
	p, other := good(t, plain), good(t, plain)
	for _, tt := range []struct {
		name                 string
		key, chain, combined string
		want                 bool
	}{
		{"all three", string(p.Key()), string(p.FullChain()), string(p.Combined()), true},
		{"with comments and parameters", "x\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + string(p.Key()), "subject=x\n" + string(p.FullChain()), string(p.FullChain()) + string(p.Key()), true},
		{"key of another", string(other.Key()), string(p.FullChain()), string(p.Combined()), false},
		{"combined is another", string(p.Key()), string(p.FullChain()), string(other.Combined()), false},
		{"one is missing", string(p.Key()), string(p.FullChain()), "", false},
		{"nothing", "", "", "", false},
		{"not PEM", "x", "y", "z", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := Deployment{Key: dir + "/k", Chain: dir + "/c", Combined: dir + "/b"}
			for path, s := range map[string]string{"k": tt.key, "c": tt.chain, "b": tt.combined} {
				os.Remove(filepath.Join(dir, path))
				if s != "" {
					write(t, filepath.Join(dir, path), s)
				}
			}
			like, err := d.planned(plain, p, ids{-1, -1})
			if err != nil {
				t.Fatal(err)
			}
			s, err := d.found(like, nil)
			if err != nil || (s.pair != nil) != tt.want || tt.want && s.pair.Fingerprint() != p.Fingerprint() {
				t.Errorf("found = %v, %v, want a pair: %v", s.pair, err, tt.want)
			}
			if s.absent() != (tt.name == "nothing") {
				t.Errorf("absent = %v", s.absent())
			}
		})
	}
}
