package trees

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/cmd/keypaird/imports/syntax"
	"keypaird/renew/keypair/pairtest"
)

// layCertbot writes a tree of certbot with the certificate "a", and returns its directory.
func layCertbot(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "le")
	for _, sub := range []string{"", "renewal", "live", "live/a", "archive", "archive/a"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p, err := pairtest.Issue([]string{"a.example.org"}, time.Now(), 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "archive/a/fullchain1.pem"), string(p.FullChain()))
	write(t, filepath.Join(dir, "archive/a/privkey1.pem"), string(p.Key()))
	link(t, "../../archive/a/fullchain1.pem", filepath.Join(dir, "live/a/fullchain.pem"))
	link(t, "../../archive/a/privkey1.pem", filepath.Join(dir, "live/a/privkey.pem"))
	write(t, filepath.Join(dir, "renewal/a.conf"), "[renewalparams]\nauthenticator = standalone\n")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	os.Remove(path)
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// What is broken, or could be another user's, is a fault with a remedy; nothing hangs,
// and nothing outside of the tree is read.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string // of the only fault; "" means none
	}{
		{"nothing", func(t *testing.T, dir string) {}, ""},
		{"a link out of the tree", func(t *testing.T, dir string) { link(t, "/etc/hostname", dir+"/live/a/privkey.pem") }, "/live/a/privkey.pem: leads out of "},
		{"a link to a secret", func(t *testing.T, dir string) { link(t, "../../../../etc/shadow", dir+"/live/a/fullchain.pem") }, "live/a/fullchain.pem: "},
		{"a link in a circle", func(t *testing.T, dir string) { link(t, "privkey.pem", dir+"/live/a/privkey.pem") }, "privkey.pem: too many levels of symbolic links"},
		{"a key that is gone", func(t *testing.T, dir string) { os.Remove(dir + "/archive/a/privkey1.pem") }, "no such file or directory"},
		{"another key", func(t *testing.T, dir string) {
			p, err := pairtest.Issue([]string{"a"}, time.Now(), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/archive/a/privkey1.pem", string(p.Key()))
		}, "is no pair with "},
		{"a pipe", func(t *testing.T, dir string) {
			os.Remove(dir + "/archive/a/privkey1.pem")
			if err := syscall.Mkfifo(dir+"/archive/a/privkey1.pem", 0o600); err != nil {
				t.Skip(err)
			}
		}, "is not a regular file"},
		{"a pipe in place of a directory", func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(dir+"/renewal-hooks", 0o600); err != nil {
				t.Skip(err)
			}
		}, ""},
		{"a device", func(t *testing.T, dir string) { link(t, "/dev/zero", dir+"/archive/a/privkey1.pem") }, "leads out of "},
		{"a huge file", func(t *testing.T, dir string) {
			if err := os.Truncate(dir+"/renewal/a.conf", 1<<40); err != nil {
				t.Skip(err)
			}
		}, "/renewal/a.conf: is larger than 1024 KiB"},
		{"a configuration that others can write", func(t *testing.T, dir string) { chmod(t, dir+"/renewal/a.conf", 0o666) }, "can be written by others (mode 0666)"},
		{"a directory that others can write", func(t *testing.T, dir string) { chmod(t, dir+"/archive/a", 0o777) }, "archive/a can be written by everyone (mode 0777)"},
		{"a configuration of another user", func(t *testing.T, dir string) { chown(t, dir+"/renewal/a.conf") }, "belongs to user 12345, neither root nor"},
		{"a directory of another user", func(t *testing.T, dir string) { chown(t, dir+"/live/a") }, "live/a belongs to user 12345, neither root nor"},
		{"a line that is none", func(t *testing.T, dir string) { write(t, dir+"/renewal/a.conf", "[renewalparams]\n$(reboot)\n") },
			`/renewal/a.conf:2: is neither a section nor KEY = VALUE: "$(reboot)"`},
		{"a quote without an end", func(t *testing.T, dir string) {
			write(t, dir+"/renewal/a.conf", "[renewalparams]\nauthenticator = \"standalone\nserver = 'x'\n")
		}, "/renewal/a.conf:2: has a value that cannot be read"},
		{"credentials elsewhere that others can change", func(t *testing.T, dir string) {
			write(t, dir+"/cf.ini", "dns_cloudflare_api_token = x\n")
			chmod(t, dir+"/cf.ini", 0o622)
			write(t, dir+"/renewal/a.conf", "[renewalparams]\nauthenticator = dns-cloudflare\ndns_cloudflare_credentials = "+dir+"/cf.ini\n")
		}, "/renewal/a.conf:3: names "},
		{"an account out of the tree", func(t *testing.T, dir string) {
			write(t, dir+"/renewal/a.conf", "[renewalparams]\nauthenticator = standalone\naccount = ../../../etc\n")
		}, "the account is missing or incomplete in "},
		{"a server that is no URL", func(t *testing.T, dir string) {
			write(t, dir+"/renewal/a.conf", "[renewalparams]\nserver = ../../../../../etc\naccount = passwd\nauthenticator = standalone\n")
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := layCertbot(t)
			tt.spoil(t, dir)
			tree, err := Read(Location{"certbot", dir}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, n := range tree.Faults {
				got += n.String() + "\n"
				if n.Remedy == "" {
					t.Errorf("%v has no remedy", n)
				}
			}
			if (tt.want == "") != (got == "") && tt.name != "a server that is no URL" || !strings.Contains(got, tt.want) || strings.Count(got, "\n") > 1 {
				t.Errorf("faults %q, want %q", got, tt.want)
			}
			if strings.Contains(got, "root:") {
				t.Errorf("what is outside is shown: %q", got)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, path string) {
	t.Helper()
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Skip(err)
	}
}

// The tree itself must be one that others cannot change.
func TestTreeOfAnotherUser(t *testing.T) {
	dir := layCertbot(t)
	chmod(t, dir, 0o777)
	if _, err := Read(Location{"certbot", dir}, nil); err == nil || !strings.Contains(err.Error(), "can be written by everyone") {
		t.Errorf("Read = %v", err)
	}
}

// A tree that belongs to a server's user is read, but never left.
func TestTreeOfAServer(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "certificates", "ca", "a")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/secret", "x")
	for _, to := range []string{"/etc/passwd", "../../../../outside", "pipe"} {
		write(t, filepath.Join(at, "a.key"), "x")
		if to == "pipe" {
			if err := syscall.Mkfifo(filepath.Join(at, "pipe"), 0o600); err != nil {
				t.Skip(err)
			}
		}
		link(t, to, filepath.Join(at, "a.crt"))
		tree, err := Read(Location{"caddy", dir}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.Faults) != 1 || len(tree.Certificates) != 0 || strings.Contains(tree.Faults[0].Text, "root:") {
			t.Errorf("%s: %v", to, tree.Faults)
		}
	}
	link(t, "/etc", filepath.Join(dir, "certificates", "outside"))
	link(t, "ca/a/pipe", filepath.Join(dir, "certificates", "inside"))
	for _, name := range []string{"outside", "inside"} {
		if list, err := (&root{dir, dir, true}).names("certificates/" + name); err == nil {
			t.Errorf("%s: %q", name, list)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add("a = 'x', \"y\" # z\n[s]\n")
	f.Add("A='x'\nB=\"${A}\"\n")
	f.Add("authority x {\n api url \"y\"\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		syntax.ConfigObj(text)
		syntax.Shell(text, map[string]string{}, func(int, string, error) {})
		if list, _, err := syntax.Tokens(text); err == nil {
			p := &clientParser{conf: &clientConf{Tree: &Tree{}, macros: map[string]string{}}, list: list, depth: 9}
			p.run()
		}
		parseLego([]string{text})
		yamlNames(text)
	})
}
