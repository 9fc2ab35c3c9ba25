package pkcs12

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

func issue(t *testing.T, names ...string) *keypair.Pair {
	t.Helper()
	p, err := pairtest.Issue(names, time.Now().Add(-time.Hour), 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t *testing.T, p *keypair.Pair, password string, e Encryption) []byte {
	t.Helper()
	data, err := Encode(p, password, e)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The file holds the pair, and whatever differs between two files changes every salt and
// initialization vector: no two files have one in common.
func TestEncode(t *testing.T) {
	p, other := issue(t, "example.org"), issue(t, "example.org")
	files := map[string][]byte{
		"modern":           encode(t, p, "changeit", Modern),
		"legacy":           encode(t, p, "changeit", Legacy),
		"another password": encode(t, p, "changeit2", Modern),
		"another pair":     encode(t, other, "changeit", Modern),
	}
	seen := map[string]string{}
	for name, data := range files {
		password, want := "changeit", p
		switch name {
		case "another password":
			password = "changeit2"
		case "another pair":
			want = other
		}
		key, leaf, chain, err := pkcs12.DecodeChain(data, password)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := keypair.MarshalKey(key.(crypto.Signer))
		if err != nil || !bytes.Equal(text, want.Key()) || !leaf.Equal(want.Leaf) || len(chain) != len(want.Chain) {
			t.Errorf("%s: another pair: %v", name, err)
		}
		if !Names(data, want.Leaf) || Names(data, issue(t, "example.org").Leaf) {
			t.Errorf("%s: Names is wrong", name)
		}
		if _, _, _, err := pkcs12.DecodeChain(data, password+"x"); err == nil {
			t.Errorf("%s: opens with another password", name)
		}
		for i := 0; i+16 <= len(data); i++ { // salts are OCTET STRINGs of 16 or 8 bytes
			if n := int(data[i+1]); data[i] == 4 && (n == 16 || n == 8) && i+2+n <= len(data) {
				salt := string(data[i+2 : i+2+n])
				if first := seen[salt]; first != "" {
					t.Errorf("%s and %s have a salt in common", name, first)
				}
				seen[salt] = name
			}
		}
	}
	if len(seen) < 4*3 {
		t.Errorf("%d salts found", len(seen))
	}
	if !bytes.Equal(files["modern"], encode(t, p, "changeit", Modern)) {
		t.Error("the same file is made in two ways")
	}
}

// Another version of the library, or of this package, makes the same file: else every
// server would be reloaded after an upgrade.
func TestEncodeIsStable(t *testing.T) {
	chain, err := os.ReadFile("testdata/fullchain.pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile("testdata/privkey.pem")
	if err != nil {
		t.Fatal(err)
	}
	p, err := keypair.Parse(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	for e, want := range map[Encryption]string{
		Modern: "8548fa71cff6577fc75da671298eecd396467084ef6f484cb4c0c7b495427f22",
		Legacy: "c12c1e85c92808de365f4901e8a0aa41e3dd3b3864648b9cb0f5caf09d0dab66",
	} {
		sum := sha256.Sum256(encode(t, p, "changeit", e))
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("legacy %v: the file has SHA-256 %s, not %s", e, got, want)
		}
	}
}

// OpenSSL and Java read both.
func TestReaders(t *testing.T) {
	p := issue(t, "example.org")
	dir := t.TempDir()
	for name, e := range map[string]Encryption{"modern": Modern, "legacy": Legacy} {
		file := filepath.Join(dir, name+".p12")
		if err := os.WriteFile(file, encode(t, p, "pässword", e), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run("openssl "+name, func(t *testing.T) {
			out, err := exec.Command(testutil.Program(t, "openssl"), "pkcs12", "-in", file, "-passin", "pass:pässword", "-nodes").CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("PRIVATE KEY")) || bytes.Count(out, []byte("BEGIN CERTIFICATE")) != 1+len(p.Chain) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		return // Java is much to install for this
	}
	file := filepath.Join(dir, "java.p12")
	for name, e := range map[string]Encryption{"modern": Modern, "legacy": Legacy} {
		if err := os.WriteFile(file, encode(t, p, "changeit", e), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(keytool, "-list", "-v", "-keystore", file, "-storepass", "changeit").CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("PrivateKeyEntry")) || !bytes.Contains(out, []byte("Certificate chain length: ")) {
			t.Errorf("java %s: %v: %s", name, err, out)
		}
	}
}

func TestNames(t *testing.T) {
	leaf := issue(t, "example.org").Leaf
	for _, data := range [][]byte{nil, {0x30}, []byte("x"), bytes.Repeat([]byte{0x30}, 1000)} {
		if Names(data, leaf) {
			t.Errorf("%.20q is a PKCS#12 file of the certificate", data)
		}
	}
}

func TestPassword(t *testing.T) {
	for _, tt := range []struct {
		name, content, want, err string
		mode                     os.FileMode
	}{
		{"a line", "changeit\n", "changeit", "", 0o600},
		{"of Windows", "changeit\r\n", "changeit", "", 0o640},
		{"without an end", " with spaces ", " with spaces ", "", 0o400},
		{"outside of ASCII", "pässwörd\n", "pässwörd", "", 0o600},
		{"empty", "", "", "holds no password", 0o600},
		{"an empty line", "\n", "", "holds no password", 0o600},
		{"two lines", "one\ntwo\n", "", "one line of text", 0o600},
		{"not UTF-8", "p\xe4ss", "", "one line of text", 0o600},
		{"not in UCS-2", "p😀ss", "", "one line of text", 0o600},
		{"too long", strings.Repeat("x", maxPassword+1), "", "larger than", 0o600},
		{"for everybody", "changeit", "", "can be used by others (mode 0644)", 0o644},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(file, []byte(tt.content), tt.mode); err != nil {
				t.Fatal(err)
			}
			got, err := Password(file)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || problem.Remedy(err) == "") {
				t.Errorf("Password = %q, %v, want %q, %s", got, err, tt.want, tt.err)
			}
		})
	}
	if _, err := Password("/nonexistent/password"); err == nil || problem.Remedy(err) == "" {
		t.Errorf("no file: %v", err)
	}
}
