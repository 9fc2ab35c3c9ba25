// Package tlsa reads and makes TLSA records, by which peers know a key (DANE, RFC
// 6698 and 7671). A record is written as in a zone file: three numbers and
// hexadecimal in lower case.
package tlsa

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Record returns the record that names a public key and nothing else: DANE-EE,
// SPKI, SHA-256. It is "" for no key.
func Record(spki []byte) string {
	if len(spki) == 0 {
		return ""
	}
	sum := sha256.Sum256(spki)
	return "3 1 1 " + hex.EncodeToString(sum[:])
}

// Usable reports whether peers use a record: usages 0 and 1 require a public CA too,
// and are not for SMTP (RFC 7672, section 3.1.3).
func Usable(record string) bool {
	f := strings.Fields(record)
	if len(f) != 4 || f[0] != "2" && f[0] != "3" || f[1] != "0" && f[1] != "1" {
		return false
	}
	data, err := hex.DecodeString(f[3])
	switch f[2] {
	case "0":
		return err == nil && len(data) > 0
	case "1":
		return err == nil && len(data) == sha256.Size
	case "2":
		return err == nil && len(data) == sha512.Size
	}
	return false
}

// matches reports whether a record is for data: with selector 0 a whole certificate,
// with 1 a public key.
func matches(record string, selector int, data []byte) bool {
	short, long := sha256.Sum256(data), sha512.Sum512(data)
	for matching, sum := range [][]byte{data, short[:], long[:]} {
		if record == fmt.Sprintf("3 %d %d %x", selector, matching, sum) {
			return true
		}
	}
	return false
}

// NamesKey reports whether one of records names a public key.
func NamesKey(records []string, spki []byte) bool {
	return slices.ContainsFunc(records, func(r string) bool { return matches(r, 1, spki) })
}

// Refuses reports whether peers refuse a certificate because of these records: at
// least one is usable, none matches the certificate or its key, and none is for a CA
// (usage 2), which only the chain could show.
func Refuses(records []string, leaf *x509.Certificate) bool {
	some := false
	for _, r := range records {
		if !Usable(r) {
			continue
		}
		if strings.HasPrefix(r, "2 ") || matches(r, 0, leaf.Raw) || matches(r, 1, leaf.RawSubjectPublicKeyInfo) {
			return false
		}
		some = true
	}
	return some
}

// ZoneLine is a record at a name as a zone file has it.
func ZoneLine(name, record string) string { return name + ". IN TLSA " + record }
