package imports_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/imports"
	"keypaird/cmd/keypaird/imports/trees"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
)

var update = flag.Bool("update", false, "write what is planned into testdata")

// TestPlans reads trees of every client, as its files in testdata lay them, and compares
// what is planned. A line that begins with @ stands for the content of a file:
//
//	@fullchain A, @leaf A, @chain A, @key A   of the pair A, which a line "pair A TYPE NAME..." makes
//	@sec1 A        its key as openssl ecparam writes it
//	@account       the key of an account in PEM; @jwk: in JSON; @encrypted PHRASE: in PKCS#8
//	@link TARGET   a symbolic link
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f := lay(t, archive)
			at := trees.Location{Client: f.client, Dir: f.path}
			if got := trees.Recognize(f.path); got != f.client {
				t.Errorf("Recognize = %q, want %q", got, f.client)
			}
			got := f.plan(t, at)
			last := &archive.Files[len(archive.Files)-1]
			if *update && last.Name == "want" {
				last.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if last.Name != "want" || string(last.Data) != got {
				t.Errorf("planned:\n%s", got)
			}
		})
	}
}

// A fixture is a tree on disk.
type fixture struct {
	client, dir, path, ca string
	commands, skip        []string
	pairs                 map[string]*keypair.Pair
}

// plan returns the planned configuration, notes and faults as text.
func (f *fixture) plan(t *testing.T, at trees.Location) string {
	t.Helper()
	tree, err := trees.Read(at, f.commands)
	if err != nil {
		t.Fatal(err)
	}
	none := func(string) string { return "" }
	p, err := imports.New(tree, imports.Options{Config: filepath.Join(f.dir, "keypaird.toml"), Getenv: none, CA: f.ca, Skip: f.skip})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(config.Options{Getenv: none, HasProvider: func(string) bool { return true }}); err != nil && len(tree.Faults) == 0 {
		t.Errorf("the configuration is not one: %v", err)
	}
	var b strings.Builder
	b.WriteString(p.Text())
	r := p.Report("/var/lib/keypaird", nil)
	for _, a := range r.Accounts {
		b.WriteString("account " + a.CA + " " + a.File + " " + a.URL + "\n")
	}
	for _, file := range r.Files {
		b.WriteString("secret " + file + "\n")
	}
	for _, n := range r.Faults {
		b.WriteString("fault: " + n.String() + "\n -> " + n.Remedy + "\n")
	}
	for _, n := range r.NotCarried {
		b.WriteString("note: " + n.String() + "\n -> " + n.Remedy + "\n")
	}
	return strings.ReplaceAll(b.String(), f.dir, "/DIR")
}

// lay writes the tree of an archive, whose comment says what it is.
func lay(t *testing.T, archive *txtar.Archive) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), pairs: map[string]*keypair.Pair{}}
	if err := os.Chmod(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(archive.Comment)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields := strings.Fields(rest)
		switch word {
		case "client":
			f.client, f.path = fields[0], filepath.Join(f.dir, fields[1])
		case "ca":
			f.ca = rest
		case "skip":
			f.skip = fields
		case "command":
			f.commands = append(f.commands, rest)
		case "pair":
			f.pairs[fields[0]] = newPair(t, fields[1], fields[2:])
		}
	}
	for _, file := range archive.Files {
		if file.Name != "want" {
			f.write(t, file.Name, strings.ReplaceAll(string(file.Data), "/DIR", f.dir))
		}
	}
	return f
}

// write writes one file of a tree.
func (f *fixture) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(f.dir, name)
	mode := os.FileMode(0o644)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if rest, ok := strings.CutPrefix(text, "@"); ok && err == nil {
		kind, arg, _ := strings.Cut(strings.TrimSpace(rest), " ")
		p := f.pairs[arg]
		switch kind {
		case "link":
			if err := os.Symlink(arg, path); err != nil {
				t.Fatal(err)
			}
			return
		case "fullchain":
			text = string(p.FullChain())
		case "leaf":
			text = string(p.Cert())
		case "chain":
			text = string(p.ChainPEM())
		case "key":
			text, mode = string(p.Key()), 0o600
		case "sec1":
			text, mode = sec1(t, p.Key()), 0o600
		case "account":
			text, mode = string(newPair(t, "ec256", []string{"account.test"}).Key()), 0o600
		case "jwk":
			text, mode = jwk(t), 0o400
		case "encrypted":
			text, mode = encrypted(t, arg), 0o600
		default:
			t.Fatalf("no directive %q", kind)
		}
	}
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// newPair makes a pair that is new.
func newPair(t *testing.T, keyType string, names []string) *keypair.Pair {
	t.Helper()
	var key crypto.Signer
	var err error
	if bits, ok := strings.CutPrefix(keyType, "rsa"); ok {
		n, _ := strconv.Atoi(bits)
		key, err = rsa.GenerateKey(rand.Reader, n)
	} else {
		key, err = ecdsa.GenerateKey(map[string]elliptic.Curve{"ec256": elliptic.P256(), "ec384": elliptic.P384()}[keyType], rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := pairtest.IssueFor(key, names, time.Now(), 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sec1 returns a key as openssl ecparam writes it.
func sec1(t *testing.T, data []byte) string {
	t.Helper()
	key, err := keypair.ParseKey(data)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	params, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: params})) + string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// jwk returns a new key as certbot keeps it.
func jwk(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	number := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	data, err := json.Marshal(map[string]string{
		"kty": "RSA", "n": number(key.N.Bytes()), "e": "AQAB", "d": number(key.D.Bytes()), "p": number(key.Primes[0].Bytes()), "q": number(key.Primes[1].Bytes()),
		"dp": number(key.Precomputed.Dp.Bytes()), "dq": number(key.Precomputed.Dq.Bytes()), "qi": number(key.Precomputed.Qinv.Bytes()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// encrypted returns a new key as mod_md keeps it.
func encrypted(t *testing.T, phrase string) string {
	t.Helper()
	secret, err := base64.RawURLEncoding.DecodeString(phrase)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(newPair(t, "ec256", []string{"account.test"}).Key())
	salt, iv := make([]byte, 8), make([]byte, 16)
	key, err := pbkdf2.Key(sha256.New, string(secret), salt, 2048, 32)
	if err != nil {
		t.Fatal(err)
	}
	c, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	pad := 16 - len(block.Bytes)%16
	plain := append(block.Bytes, []byte(strings.Repeat(string(rune(pad)), pad))...)
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(plain, plain)
	oid := func(list ...int) asn1.ObjectIdentifier { return list }
	type algorithm struct {
		ID     asn1.ObjectIdentifier
		Params any
	}
	null := asn1.RawValue{Tag: asn1.TagNull}
	der, err := asn1.Marshal(struct {
		Algorithm algorithm
		Data      []byte
	}{algorithm{oid(1, 2, 840, 113549, 1, 5, 13), struct{ KDF, Cipher algorithm }{
		algorithm{oid(1, 2, 840, 113549, 1, 5, 12), struct {
			Salt       []byte
			Iterations int
			PRF        algorithm
		}{salt, 2048, algorithm{oid(1, 2, 840, 113549, 2, 9), null}}},
		algorithm{oid(2, 16, 840, 1, 101, 3, 4, 1, 42), iv},
	}}, plain})
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
}
