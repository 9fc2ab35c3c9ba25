package keypair

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const helperEnv = "KEYPAIR_TEST_HELPER"

// TestMain lets the test binary stand in for a process that is killed, is out
// of disk space, or holds a lock. It runs the same code as the tests.
func TestMain(m *testing.M) {
	helpers := map[string]func(args []string) error{
		"issue": helpIssue,
		"fsize": helpFileSize,
		"files": helpOpenFiles,
		"disk":  helpFullDisk,
		"lock":  helpLock,
		"umask": helpUmask,
	}
	if help, ok := helpers[os.Getenv(helperEnv)]; ok {
		if err := help(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helperEnviron is the environment that makes the test binary a helper. The
// race detector would have each of them sleep for a second before it ends.
func helperEnviron(helper string) []string {
	return append(os.Environ(), helperEnv+"="+helper, "GORACE=atexit_sleep_ms=0")
}

// A testCA signs leaves through one intermediate.
type testCA struct {
	root, inter       *x509.Certificate
	rootKey, interKey crypto.Signer
}

func newCA(t testing.TB) *testCA {
	t.Helper()
	ca := &testCA{rootKey: newKey(t), interKey: newKey(t)}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "root"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	ca.root = sign(t, template, &template, ca.rootKey.Public(), ca.rootKey)
	template.Subject.CommonName = "intermediate"
	ca.inter = sign(t, template, ca.root, ca.interKey.Public(), ca.rootKey)
	return ca
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template x509.Certificate, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// leaf makes a certificate for names and key, valid from an hour ago for 90 days.
func (ca *testCA) leaf(t testing.TB, key crypto.Signer, names ...string) *x509.Certificate {
	t.Helper()
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(90 * 24 * time.Hour),
	}
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil {
			template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
		} else if u, err := url.Parse(n); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	return sign(t, template, ca.inter, key.Public(), ca.interKey)
}

// pair makes a new pair for names.
func (ca *testCA) pair(t testing.TB, names ...string) *Pair {
	t.Helper()
	key := newKey(t)
	p, err := Parse(pems(ca.leaf(t, key, names...), ca.inter), keyPEM(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pems(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(block("CERTIFICATE", c.Raw))
	}
	return b.Bytes()
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	data, err := MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func add(t testing.TB, s *Store, name string, p *Pair) Version {
	t.Helper()
	v, err := s.Add(name, p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func setLive(t testing.TB, s *Store, name string, v Version) {
	t.Helper()
	if err := s.SetLive(name, v); err != nil {
		t.Fatal(err)
	}
}

// damage writes over a file of a store, as a bad disk would.
func damage(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entries lists what is in a directory.
func entries(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// copyTree copies a store, links and all, with the store's own modes.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(dest, 0o700)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, dest)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(dest, data, 0o600)
	})
}

// modes reports the first entry under dir that is not as private as a store's
// should be.
func modes(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := map[fs.FileMode]fs.FileMode{fs.ModeDir: 0o700, 0: 0o600}[d.Type()]
		if d.Type() != fs.ModeSymlink && info.Mode().Perm() != want {
			return fmt.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	})
}

// helpUmask fills a store under an umask: DIR UMASK CHAIN KEY.
func helpUmask(args []string) error {
	var mask int
	if _, err := fmt.Sscanf(args[1], "%o", &mask); err != nil {
		return err
	}
	syscall.Umask(mask)
	p, err := readPair(args[2], args[3])
	if err != nil {
		return err
	}
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	v, err := s.Add("example.org", p)
	if err != nil {
		return err
	}
	if err := s.SetLive("example.org", v); err != nil {
		return err
	}
	lock, err := tryAcquire(filepath.Join(args[0], "lock"))
	if err != nil {
		return err
	}
	if err := lock.Release(); err != nil {
		return err
	}
	return s.WriteFile("example.org", "pending/key.pem", []byte("key"))
}

func readPair(chain, key string) (*Pair, error) {
	c, err := os.ReadFile(chain)
	if err != nil {
		return nil, err
	}
	k, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	return Parse(c, k)
}
