package tlsa

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An RR is the data of one TLSA record (RFC 6698, section 2.1).
type RR struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// Parse reads a record as in a zone file. What it cannot read is an RR that peers
// cannot use.
func Parse(record string) RR {
	f := strings.Fields(record)
	if len(f) < 4 {
		return RR{}
	}
	var numbers [3]uint8
	for i := range numbers {
		n, err := strconv.ParseUint(f[i], 10, 8)
		if err != nil {
			return RR{}
		}
		numbers[i] = uint8(n)
	}
	data, err := hex.DecodeString(strings.Join(f[3:], ""))
	if err != nil {
		data = nil
	}
	return RR{numbers[0], numbers[1], numbers[2], data}
}

func (r RR) String() string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
}

// Unusable returns why peers cannot use the record, or "". Usages 0 and 1 require a
// public CA too.
func (r RR) Unusable() string {
	length := map[uint8]int{1: sha256.Size, 2: sha512.Size}[r.Matching]
	switch {
	case r.Usage < 2:
		return "usage 0 and 1 are not for SMTP (RFC 7672, 3.1.3)"
	case r.Usage > 3 || r.Selector > 1 || r.Matching > 2:
		return "unknown usage, selector or matching type"
	case len(r.Data) == 0 || length != 0 && len(r.Data) != length:
		return "the data do not have the length of the hash"
	}
	return ""
}

// Matches reports whether the record can be used and is for a certificate or its key.
// Usage 3 is for the certificate of a server, usage 2 for that of a CA.
func (r RR) Matches(c *x509.Certificate) bool {
	if r.Selector == 0 {
		return r.isFor(c.Raw)
	}
	return r.isFor(c.RawSubjectPublicKeyInfo)
}

func (r RR) isFor(data []byte) bool {
	if r.Unusable() != "" {
		return false
	}
	switch r.Matching {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, r.Data)
}

// Record returns the record that names a public key and nothing else: DANE-EE,
// SPKI, SHA-256. It is "" for no key.
func Record(spki []byte) string {
	if len(spki) == 0 {
		return ""
	}
	sum := sha256.Sum256(spki)
	return RR{3, 1, 1, sum[:]}.String()
}

// Usable reports whether peers use a record.
func Usable(record string) bool { return Parse(record).Unusable() == "" }

// NamesKey reports whether one of records names a public key: usage 3, selector 1.
func NamesKey(records []string, spki []byte) bool {
	return slices.ContainsFunc(records, func(record string) bool {
		r := Parse(record)
		return r.Usage == 3 && r.Selector == 1 && r.isFor(spki)
	})
}

// Refuses reports whether peers refuse a certificate because of these records: at
// least one is usable, none matches the certificate or its key, and none is for a CA
// (usage 2), which only the chain could show.
func Refuses(records []string, leaf *x509.Certificate) bool {
	some := false
	for _, record := range records {
		r := Parse(record)
		if r.Unusable() != "" {
			continue
		}
		if r.Usage == 2 || r.Matches(leaf) {
			return false
		}
		some = true
	}
	return some
}

// ZoneLine returns a record at a name as a zone file has it.
func ZoneLine(name, record string) string { return name + ". IN TLSA " + record }
