package pkcs12

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"software.sslmate.com/src/go-pkcs12"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// An Encryption is a choice of algorithms, which depends on who reads the file.
type Encryption bool

// Encryptions.
const (
	// Modern is AES-256 with SHA-256, as OpenSSL 3 and Java 20 write: for OpenSSL 1.1.1,
	// Java 8u301, Windows Server 2019 and newer.
	Modern Encryption = false
	// Legacy is Triple DES with SHA-1, which everything reads: older Java and Windows, the
	// keychain of macOS, and appliances.
	Legacy Encryption = true
)

// iterations of the key derivation, as OpenSSL's default. The password is in a file beside
// the programs that read it, or is one that everybody knows: more would not protect it.
const iterations = 2048

// Encode returns p as a PKCS#12 file.
func Encode(p *keypair.Pair, password string, e Encryption) ([]byte, error) {
	key, _ := pem.Decode(p.Key())
	signer, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	if err != nil {
		return nil, err
	}
	encoder := pkcs12.Modern2023
	if e == Legacy {
		encoder = pkcs12.LegacyDES
	}
	// The key is as good as random, and whatever differs between two files is in info.
	info := fmt.Sprintf("keypaird pkcs12 %v %d %s %s", e, len(password), password, p.FullChain())
	random, err := hkdf.Key(sha256.New, key.Bytes, nil, info, 1024)
	if err != nil {
		return nil, err
	}
	data, err := encoder.WithIterations(iterations).WithRand(bytes.NewReader(random)).Encode(signer, p.Leaf, p.Chain, password)
	if err != nil {
		return nil, fmt.Errorf("making a PKCS#12 file: %w", err)
	}
	return data, nil
}

// Names reports whether data is a PKCS#12 file that says that it is of a certificate: the
// attribute localKeyId of the key, which stands there unencrypted, is its SHA-1 here and
// with OpenSSL. It does not prove what is encrypted there, or with which password.
func Names(data []byte, leaf *x509.Certificate) bool {
	id := sha1.Sum(leaf.Raw)
	const sequence = 0x30
	return len(data) > 0 && data[0] == sequence && bytes.Contains(data, id[:])
}

// maxPassword bounds the file of a password.
const maxPassword = 1024

// Password reads the file of a password, which other users must not be able to use.
func Password(path string) (string, error) {
	data, info, err := durable.ReadFile(path, maxPassword, durable.Any)
	if err != nil {
		return "", problem.Newf("write the password to a file for the user who runs keypaird alone, and name it as pkcs12_password_file", "password of PKCS#12: %s: %w", path, durable.Cause(err))
	}
	if perm := info.Mode().Perm(); perm&0o007 != 0 {
		return "", problem.Newf("chmod o= "+path, "password of PKCS#12: %s can be used by others (mode %04o)", path, perm)
	}
	password, err := ParsePassword(data)
	if err != nil {
		return "", problem.Wrap(fmt.Errorf("%s %w", filepath.Clean(path), err), problem.Remedy(err))
	}
	return password, nil
}

// ParsePassword returns the password in the content of a file: its one line. Its errors
// say how the file is not as it should be.
func ParsePassword(data []byte) (string, error) {
	password := strings.TrimRight(string(data), "\r\n")
	remedy := "write the password there, in one line: openssl rand -hex 16"
	switch {
	case password == "":
		return "", problem.New("holds no password", remedy)
	case len(data) > maxPassword || !utf8.ValidString(password) || strings.ContainsFunc(password, unusable):
		return "", problem.New("holds no password of one line of text", remedy)
	}
	return password, nil
}

// unusable reports whether a password cannot have r: it is encoded in UCS-2 (RFC 7292,
// appendix B.1), and typed.
func unusable(r rune) bool { return r > 0xffff || unicode.IsControl(r) }
