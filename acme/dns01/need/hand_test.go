package need

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// asRoot skips a test without root, and returns the user of a child.
func asRoot(t *testing.T) *user.User {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives a child another user")
	}
	u, err := user.Lookup("nobody")
	testutil.Must(t, err)
	return u
}

func TestUser(t *testing.T) {
	nobody := asRoot(t)
	defer func(was string) { launch.DNSUser = was }(launch.DNSUser)
	launch.DNSUser = "no-such-user"
	_, err := User("")
	if err == nil || !strings.HasPrefix(err.Error(), "there is no user no-such-user") || !strings.Contains(problem.Remedy(err), launch.MakeUser("no-such-user")) {
		t.Errorf("User = %v, remedy: %s", err, problem.Remedy(err))
	}
	if _, err := User("root"); err == nil {
		t.Error("root is the user of a child")
	}
	launch.DNSUser = "root"
	if _, err := User(""); err == nil {
		t.Error("root is the user of a child by default")
	}
	if u, err := User("nobody"); err != nil || u.Uid != nobody.Uid {
		t.Errorf("User = %v, %v", u, err)
	}
}

// Files that only root can read reach the child of another user, and no others.
func TestHand(t *testing.T) {
	u := asRoot(t)
	home, dir := t.TempDir(), testutil.SafeDir(t)
	file := func(path, text string, mode os.FileMode) string {
		testutil.Must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		testutil.Must(t, os.WriteFile(path, []byte(text), mode))
		testutil.Must(t, os.Chmod(path, mode))
		return path
	}
	secret, open := file(dir+"/secret", "hunter22", 0o600), file(dir+"/open", "", 0o644)
	file(home+"/.aws/credentials", "[default]", 0o600)
	file(home+"/.aws/config", "", 0o644) // below a directory that is closed
	theirs := file(dir+"/theirs", "", 0o600)
	who, err := ids(u)
	testutil.Must(t, err)
	testutil.Must(t, os.Chown(theirs, who.uid, who.gid))
	loose := file(dir+"/loose", "", 0o620)
	testutil.Must(t, os.Symlink(secret, dir+"/link"))
	third := file(dir+"/third", "", 0o600)
	testutil.Must(t, os.Chown(third, 54321, 54321))
	fd := func(n int) string { return fmt.Sprint(launch.Descriptors, n) }
	for _, tt := range []struct {
		name, code string
		env, want  map[string]string
		err        string
	}{
		{name: "a secret", env: map[string]string{"X_FILE": secret, "X": "secret"}, want: map[string]string{"X_FILE": fd(3)}},
		{name: "twice", env: map[string]string{"X_FILE": secret, "Y_FILE": dir + "/link"}, want: map[string]string{"X_FILE": fd(3), "Y_FILE": fd(3)}},
		{name: "a form of Kerberos", env: map[string]string{"KRB5CCNAME": "FILE:" + secret}, want: map[string]string{"KRB5CCNAME": "FILE:" + fd(3)}},
		{name: "what it can read, or is not there", env: map[string]string{"A": open, "B": theirs, "C": dir + "/none", "D": dir}},
		{name: "below root's home", code: "route53", want: map[string]string{"AWS_CONFIG_FILE": fd(3), "AWS_SHARED_CREDENTIALS_FILE": fd(4)}},
		{name: "below root's home, but another is named", code: "route53", env: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": open, "AWS_CONFIG_FILE": open}},
		{name: "others can write it", env: map[string]string{"X_FILE": loose}, err: "X_FILE: " + loose + ": it can be written by others (mode 0620)"},
		{name: "of a third user", env: map[string]string{"X_FILE": third}, err: "it belongs to user 54321"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := Account{Code: tt.code, Env: tt.env, Home: home}
			h, err := a.Hand(u)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || problem.Remedy(err) == "" {
					t.Errorf("Hand = %v, want %s", err, tt.err)
				}
				return
			}
			testutil.Must(t, err)
			defer h.Close()
			if !maps.Equal(h.Env, tt.want) {
				t.Errorf("variables %v, want %v", h.Env, tt.want)
			}
			keep, _, _ := a.Files()
			if keep = h.Keep(keep); len(h.Files) > 0 && strings.Contains(strings.Join(keep.Read, " "), secret) {
				t.Errorf("the child reads %v by itself", keep.Read)
			}
			if got := h.Names().Replace("open " + fd(3) + ": no"); len(h.Files) > 0 && strings.Contains(got, fd(3)) {
				t.Errorf("the child's message names a descriptor: %s", got)
			}
			for _, f := range h.Files {
				text, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
				if _, werr := f.WriteAt([]byte("x"), 0); err != nil || werr == nil || f.Truncate(100) == nil {
					t.Errorf("%s holds %q, %v, and can be changed", f.Name(), text, err)
				}
			}
		})
	}
}

// A file is not handed over, or given away, where another user could put a link to it.
func TestHandNoLinks(t *testing.T) {
	u := asRoot(t)
	dir := testutil.SharedDir(t)
	testutil.Must(t, os.Chmod(dir, os.ModeSticky|0o777))
	secret := filepath.Join(t.TempDir(), "secret")
	testutil.Must(t, os.WriteFile(secret, nil, 0o600))
	testutil.Must(t, os.Link(secret, dir+"/hard"))
	testutil.Must(t, os.Symlink(secret, dir+"/soft"))
	testutil.Must(t, os.Lchown(dir+"/soft", 54321, 54321))
	for _, path := range []string{dir + "/hard", dir + "/soft"} {
		for _, a := range []Account{{Env: map[string]string{"X_FILE": path}}, {Code: "acme-dns", Env: map[string]string{"ACME_DNS_STORAGE_PATH": path}}} {
			if h, err := a.Hand(u); err == nil {
				t.Errorf("%s was handed over: %v", path, h.Env)
			}
		}
	}
	if fi, err := os.Stat(secret); err != nil || fi.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the file was given away, %v", err)
	}
}

// A file that the provider keeps is made, and is the child's, again and again.
func TestHandStore(t *testing.T) {
	u := asRoot(t)
	store := filepath.Join(t.TempDir(), "store.json") // in a directory that is closed to the child
	a := Account{Code: "acme-dns", Env: map[string]string{"ACME_DNS_STORAGE_PATH": store}}
	for range 2 {
		h, err := a.Hand(u)
		if runtime.GOOS != "linux" {
			if err == nil || !strings.Contains(err.Error(), "closed to the child") {
				t.Errorf("Hand = %v", err)
			}
			return
		}
		testutil.Must(t, err)
		keep, _, _ := a.Files()
		if keep = h.Keep(keep); h.Env["ACME_DNS_STORAGE_PATH"] != "/proc/self/fd/3" || strings.Join(keep.Write, " ") != "/proc/self/fd/3" {
			t.Errorf("variables %v, keeps %v", h.Env, keep)
		}
		h.Close()
		fi, err := os.Stat(store)
		testutil.Must(t, err)
		if st := fi.Sys().(*syscall.Stat_t); fmt.Sprint(st.Uid) != u.Uid || fi.Mode() != 0o600 || testutil.Text(t, store) != emptyStore {
			t.Errorf("%v of user %d", fi.Mode(), st.Uid)
		}
	}
}

// A home that the child cannot search is not its home, and what it may not use is reported.
func TestClosedHome(t *testing.T) {
	u := asRoot(t)
	home := testutil.SafeDir(t)
	testutil.Must(t, os.Chmod(home, 0o700))
	for _, name := range []string{".ovh.conf", "hook"} {
		testutil.Must(t, os.WriteFile(filepath.Join(home, name), nil, 0o700))
	}
	for _, tt := range []struct {
		code, home, unusable string
		env                  map[string]string
	}{
		{"ovh", u.HomeDir, home + "/.ovh.conf", nil},
		{"ovh", "", home + "/.ovh.conf", map[string]string{"HOME": home}},
		{"exec", "", home + "/hook", map[string]string{"EXEC_PATH": home + "/hook"}},
		{"exec", "", "", map[string]string{"EXEC_PATH": "/bin/sh"}},
		{"rfc2136", "", "", nil},
		{"rfc2136", "", home, map[string]string{"SSL_CERT_DIR": home, "X": "/etc"}},
	} {
		a := Account{Code: tt.code, Env: tt.env, Home: home}
		h, err := a.Hand(u)
		testutil.Must(t, err)
		if got := strings.Join(a.Unusable(u), " "); got != tt.unusable || h.Env["HOME"] != tt.home {
			t.Errorf("%s: may not use %q, has HOME=%s", tt.code, got, h.Env["HOME"])
		}
		h.Close()
	}
}
