package keypair

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/problem"
)

// bought is a source in a directory of its own.
func bought(t *testing.T) Source {
	t.Helper()
	dir := t.TempDir()
	return Source{filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")}
}

func put(t *testing.T, file string, data []byte, mode os.FileMode) {
	t.Helper()
	must(t, os.WriteFile(file, data, 0o600))
	must(t, os.Chmod(file, mode))
}

// odd is a leaf with a peculiarity.
func (ca *testCA) odd(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	change(&template)
	return sign(t, template, ca.inter, key.Public(), ca.interKey)
}

func TestSourceRead(t *testing.T) {
	ca, key := newCA(t), newKey(t)
	leaf := ca.leaf(t, key, "example.org")
	chain, private := pems(leaf, ca.inter), keyPEM(t, key)
	certified := func(change func(*x509.Certificate)) []byte { return pems(ca.odd(t, key, change), ca.inter) }
	now := leaf.NotBefore.Add(time.Hour)
	for _, tt := range []struct {
		name   string
		spoil  func(s Source)
		now    time.Time
		want   string // part of the error; "" if there is none
		remedy string
	}{
		{"as it should be", func(Source) {}, now, "", ""},
		{"key that the group may read, chain that everybody may", func(s Source) { must(t, os.Chmod(s.Key, 0o640)); must(t, os.Chmod(s.Chain, 0o444)) }, now, "", ""},
		{"symbolic links", func(s Source) { must(t, os.Rename(s.Key, s.Key+".1")); must(t, os.Symlink("key.pem.1", s.Key)) }, now, "", ""},
		{"no chain", func(s Source) { must(t, os.Remove(s.Chain)) }, now, "/chain.pem: no such file", "put it there"},
		{"no key", func(s Source) { must(t, os.Remove(s.Key)) }, now, "/key.pem: no such file", "put it there"},
		{"directory", func(s Source) { must(t, os.Remove(s.Key)); must(t, os.Mkdir(s.Key, 0o700)) }, now, "/key.pem: is not a regular file", "name the file itself"},
		{"pipe that nobody writes to", func(s Source) { must(t, os.Remove(s.Chain)); must(t, syscall.Mkfifo(s.Chain, 0o600)) }, now, "/chain.pem: is not a regular file", "name the file itself"},
		{"device", func(s Source) { must(t, os.Remove(s.Chain)); must(t, os.Symlink("/dev/zero", s.Chain)) }, now, "/chain.pem: is not a regular file", "name the file itself"},
		{"key that others may read", func(s Source) { must(t, os.Chmod(s.Key, 0o604)) }, now, "/key.pem: can be used by others (mode 0604)", "chmod o= "},
		{"chain that others may write", func(s Source) { must(t, os.Chmod(s.Chain, 0o646)) }, now, "/chain.pem: can be written by others (mode 0646)", "chmod o-w "},
		{"huge chain", func(s Source) { put(t, s.Chain, bytes.Repeat([]byte("\n"), maxChainBytes+1), 0o600) }, now, "/chain.pem: is larger than 256 KiB", "leave nothing there but certificates"},
		{"huge key", func(s Source) { must(t, os.Truncate(s.Key, 1<<30)) }, now, "/key.pem: is larger than 16 KiB", "leave nothing there but the private key"},
		{"empty chain", func(s Source) { put(t, s.Chain, nil, 0o600) }, now, "/chain.pem: empty", "leave nothing there but certificates"},
		{"text around the certificates", func(s Source) { put(t, s.Chain, append([]byte("Bag Attributes\n"), chain...), 0o600) }, now, "/chain.pem: line 1 is outside of any PEM block", "leave nothing there but certificates"},
		{"half a chain", func(s Source) { put(t, s.Chain, chain[:len(chain)-100], 0o600) }, now, "/chain.pem: PEM block", "leave nothing there but certificates"},
		{"key with a passphrase", func(s Source) { put(t, s.Key, block("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}), 0o600) }, now, "/key.pem: encrypted", "openssl pkey"},
		{"key of another certificate", func(s Source) { put(t, s.Key, keyPEM(t, newKey(t)), 0o600) }, now, "/key.pem: is not the key of the certificate in ", "put the key there"},
		{"intermediate first", func(s Source) { put(t, s.Chain, pems(ca.inter, leaf), 0o600) }, now, "/chain.pem: chain is out of order", "put the certificate for the server first"},
		{"expired", func(Source) {}, leaf.NotAfter, "/chain.pem: the certificate expired at ", "put its successor"},
		{"not valid yet", func(Source) {}, leaf.NotBefore.Add(-2 * time.Hour), "/chain.pem: the certificate is not valid before ", "clock"},
		{"no names", func(s Source) { put(t, s.Chain, certified(func(c *x509.Certificate) { c.DNSNames = nil }), 0o600) }, now, "is for no name", "subject alternative names"},
		{"a URI", func(s Source) {
			put(t, s.Chain, certified(func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "x"}} }), 0o600)
		}, now, "mail addresses or URIs", "subject alternative names"},
		{"a name that steers terminals", func(s Source) {
			put(t, s.Chain, certified(func(c *x509.Certificate) { c.DNSNames = []string{"a\x1b[2J.example.org"} }), 0o600)
		}, now, "not one of a host", "subject alternative names"},
		{"wildcard and address", func(s Source) {
			put(t, s.Chain, certified(func(c *x509.Certificate) { c.DNSNames = []string{"*.Example.org", "_x.example.org"} }), 0o600)
		}, now, "", ""},
		{"of a person", func(s Source) {
			put(t, s.Chain, certified(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), 0o600)
		}, now, "is not for servers", "ask whoever issued it"},
		{"of a CA", func(s Source) {
			put(t, s.Chain, certified(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), 0o600)
		}, now, "CA:true", "ask whoever issued it"},
		{"on its last day", func(Source) {}, leaf.NotAfter.Add(-time.Hour), "/chain.pem: the certificate has almost ended", "put its successor"},
		{"with dates reversed", func(s Source) {
			put(t, s.Chain, certified(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = now.Add(40*time.Minute), now.Add(30*time.Minute)
			}), 0o600)
		}, now, "/chain.pem: the certificate is never valid", "put its successor"},
		{"of a server", func(s Source) {
			put(t, s.Chain, certified(func(c *x509.Certificate) {
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
			}), 0o600)
		}, now, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := bought(t)
			put(t, s.Chain, chain, 0o644)
			put(t, s.Key, private, 0o600)
			tt.spoil(s)
			p, mark, err := s.Read(tt.now)
			if mark != s.Mark() {
				t.Errorf("mark = %s, want %s", mark, s.Mark())
			}
			if tt.want == "" {
				if err != nil || !bytes.Equal(p.Key(), private) {
					t.Errorf("error %v, want the pair", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error = %v, want one with %q", err, tt.want)
			}
			if !strings.Contains(problem.Remedy(err), tt.remedy) {
				t.Errorf("remedy = %q, want it with %q", problem.Remedy(err), tt.remedy)
			}
		})
	}
}

// Nobody has us read for him what he may not read: who else can write a directory
// on the way, or made a link on it, chooses the file. Links of root's or ours in
// directories of root's or ours are fine, as certbot makes them.
func TestSourceChosenByOthers(t *testing.T) {
	ca, key := newCA(t), newKey(t)
	chain, private := pems(ca.leaf(t, key, "example.org"), ca.inter), keyPEM(t, key)
	type row struct {
		name   string
		do     func(dir string) (file string)
		want   string // D is the directory; "" if it can be read
		remedy string
	}
	link := func(target, file string) string { must(t, os.Symlink(target, file)); return file }
	rows := []row{
		{"as certbot has it", func(d string) string {
			must(t, os.MkdirAll(d+"/live/x", 0o755))
			return link("../../secret", d+"/live/x/file")
		}, "", ""},
		{"directory that everybody may write", func(d string) string { must(t, mkdir(d+"/open", 0o777)); return link(d+"/secret", d+"/open/file") },
			"D/open can be written by everyone (mode 0777)", "chmod go-w D/open"},
		{"directory that its group may write", func(d string) string { must(t, mkdir(d+"/open", 0o775)); return link(d+"/secret", d+"/open/file") },
			"D/open can be written by its group (mode 0775)", "chmod go-w D/open"},
		{"file itself in such a directory", func(d string) string {
			must(t, mkdir(d+"/open", 0o777))
			must(t, os.Link(d+"/secret", d+"/open/file"))
			return d + "/open/file"
		}, "D/open can be written by everyone (mode 0777)", "chmod go-w D/open"},
		{"file in one like /tmp", func(d string) string {
			must(t, mkdir(d+"/open", 0o777|os.ModeSticky))
			must(t, os.Link(d+"/secret", d+"/open/file"))
			return d + "/open/file"
		}, "D/open can be written by everyone (mode 0777)", "chmod go-w D/open"},
		{"on a way through such a directory", func(d string) string {
			must(t, mkdir(d+"/open", 0o777))
			link(d, d+"/open/on")
			return d + "/open/on/secret"
		}, "D/open can be written by everyone (mode 0777)", "chmod go-w D/open"},
	}
	if os.Geteuid() == 0 {
		rows = append(rows, row{"somebody's directory", func(d string) string {
			must(t, mkdir(d+"/bob", 0o755))
			must(t, os.Lchown(d+"/bob", 12345, 12345))
			return link(d+"/secret", d+"/bob/file")
		}, "D/bob belongs to user 12345", "put it where only root and the user who runs this can write; or run this as user 12345"}, row{"somebody's link in one like /tmp", func(d string) string {
			must(t, mkdir(d+"/tmp", 0o777|os.ModeSticky))
			must(t, os.Lchown(link(d+"/secret", d+"/tmp/file"), 12345, 12345))
			return d + "/tmp/file"
		}, "D/tmp/file is a symbolic link of user 12345", "remove D/tmp/file, or name what it stands for"})
	}
	for _, tt := range rows {
		for _, which := range []string{"chain", "key"} {
			t.Run(tt.name+", "+which, func(t *testing.T) {
				s := bought(t)
				put(t, s.Chain, chain, 0o644)
				put(t, s.Key, private, 0o600)
				dir, err := filepath.EvalSymlinks(filepath.Dir(s.Key))
				must(t, err)
				file := &s.Key
				if which == "chain" {
					file = &s.Chain
				}
				must(t, os.Rename(*file, filepath.Join(dir, "secret")))
				*file = tt.do(dir)
				_, _, err = s.Read(time.Now())
				if tt.want == "" {
					must(t, err)
					return
				}
				if want := *file + ": " + strings.ReplaceAll(tt.want, "D", dir); err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Fatalf("error = %v, want one with %q", err, want)
				}
				if want := strings.ReplaceAll(tt.remedy, "D", dir); !strings.Contains(problem.Remedy(err), want) {
					t.Errorf("remedy = %q, want it with %q", problem.Remedy(err), want)
				}
			})
		}
	}
}

// Root may read everything.
func TestSourceForbidden(t *testing.T) {
	remedy := remedyOfFile("/x", syscall.EACCES)
	if !strings.Contains(remedy, "let the user who runs keypaird read /x") {
		t.Errorf("remedy = %q", remedy)
	}
}

// The mark is another one after whatever can be done to a file.
func TestSourceMark(t *testing.T) {
	s := bought(t)
	put(t, s.Chain, []byte("a"), 0o644)
	put(t, s.Key, []byte("b"), 0o600)
	then := time.Now().Add(-time.Hour)
	old := func() { must(t, os.Chtimes(s.Key, then, then)) }
	old()
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"touched", func() { must(t, os.Chtimes(s.Chain, then, then)) }},
		{"longer", func() { put(t, s.Key, []byte("bb"), 0o600); old() }},
		{"written", func() { put(t, s.Key, []byte("cc"), 0o600) }},
		{"replaced by one just like it", func() {
			old()
			put(t, s.Key+".new", []byte("cc"), 0o600)
			must(t, os.Chtimes(s.Key+".new", then, then))
			must(t, os.Rename(s.Key+".new", s.Key))
		}},
		{"mode", func() { must(t, os.Chmod(s.Key, 0o640)) }},
		{"removed", func() { must(t, os.Remove(s.Key)) }},
		{"there again", func() { put(t, s.Key, []byte("cc"), 0o600) }},
	} {
		before := s.Mark()
		if s.Mark() != before {
			t.Fatal("two marks of the same files differ")
		}
		tt.do()
		if s.Mark() == before {
			t.Errorf("%s: the mark is still the same", tt.name)
		}
	}
}

func TestAlone(t *testing.T) {
	ca, key := newCA(t), newKey(t)
	leaf := ca.leaf(t, key, "example.org")
	for _, tt := range []struct {
		name  string
		chain []byte
		want  bool
	}{{"whole chain", pems(leaf, ca.inter), false}, {"certificate only", pems(leaf), true}} {
		p, err := Parse(tt.chain, keyPEM(t, key))
		must(t, err)
		if got := p.Alone(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
