package document

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// Keys that occur once in a fleet.
const (
	FleetKey = "fleet"
	SeatKey  = "seat"
)

// A Kind is the first word of a key.
type Kind string

// Kinds of keys.
const (
	KindFleet    Kind = FleetKey
	KindSeat     Kind = SeatKey
	KindLive     Kind = "live"
	KindPair     Kind = "pairs"
	KindOrder    Kind = "orders"
	KindRecord   Kind = "records"
	KindAccount  Kind = "accounts"
	KindOrderLog Kind = "orderlog"
	KindCounts   Kind = "counts"
	KindToken    Kind = "tokens"
	KindTXT      Kind = "txt"
	KindAsk      Kind = "asks"
	KindNode     Kind = "nodes"
)

// Kinds are all kinds of keys.
var Kinds = []Kind{KindFleet, KindSeat, KindLive, KindPair, KindOrder, KindRecord, KindAccount, KindOrderLog, KindCounts, KindToken, KindTXT, KindAsk, KindNode}

// Prefix returns the common prefix of all keys of the kind: to read and to follow.
func (k Kind) Prefix() string {
	if k == KindFleet || k == KindSeat {
		return string(k)
	}
	return string(k) + "/"
}

// Names of keys. What they are made of must have passed CheckName or CheckTarget.
func LiveKey(target string) string          { return "live/" + target }
func PairKey(target, version string) string { return PairPrefix(target) + version }
func PairPrefix(target string) string       { return "pairs/" + target + "/" }
func OrderKey(target, ca string) string     { return OrderPrefix(target) + ca }
func OrderPrefix(target string) string      { return "orders/" + target + "/" }
func RecordKey(target string) string        { return "records/" + target }
func AccountKey(ca string) string           { return "accounts/" + ca }
func OrderLogKey(ca, set string) string     { return OrderLogPrefix(ca) + set }
func OrderLogPrefix(ca string) string       { return "orderlog/" + ca + "/" }
func CountsKey(ca string) string            { return "counts/" + ca }
func TokenKey(token string) string          { return "tokens/" + token }
func TXTKey(value string) string            { return "txt/" + value }
func AskKey(node, id string) string         { return AskPrefix(node) + id }
func AskPrefix(node string) string          { return "asks/" + node + "/" }
func AliveKey(node string) string           { return NodePrefix(node) + "alive" }
func ReportKey(node string) string          { return NodePrefix(node) + "report" }
func NodePrefix(node string) string         { return "nodes/" + node + "/" }

// A Key is a key taken apart. Fields that its kind does not have are empty.
type Key struct {
	Kind                           Kind
	Target, Version, CA, Set, Node string
	Token                          string // or the value of a TXT record
	Leaf                           string // alive or report; the id of an ask
}

// ParseKey takes a key apart; ok is false for a key that no function above returns.
func ParseKey(key string) (k Key, ok bool) {
	parts := strings.Split(key, "/")
	k.Kind = Kind(parts[0])
	fields := k.fields()
	if fields == nil || len(parts) != len(fields)+1 {
		return Key{}, false
	}
	for i, f := range fields {
		if *f.value = parts[i+1]; f.check(*f.value) != nil {
			return Key{}, false
		}
	}
	return k, k.Kind != KindNode || k.Leaf == "alive" || k.Leaf == "report"
}

// A field is a part of a key.
type field struct {
	value *string
	check func(string) error
}

// fields returns the parts behind the kind; nil for an unknown kind.
func (k *Key) fields() []field {
	target, ca, node := field{&k.Target, checkTarget}, field{&k.CA, CheckName}, field{&k.Node, CheckName}
	leaf := field{&k.Leaf, CheckName}
	switch k.Kind {
	case KindFleet, KindSeat:
		return []field{}
	case KindLive, KindRecord:
		return []field{target}
	case KindPair:
		return []field{target, {&k.Version, CheckName}}
	case KindOrder:
		return []field{target, ca}
	case KindAccount, KindCounts:
		return []field{ca}
	case KindOrderLog:
		return []field{ca, {&k.Set, CheckName}}
	case KindToken, KindTXT:
		return []field{{&k.Token, checkToken}}
	case KindAsk, KindNode:
		return []field{node, leaf}
	}
	return nil
}

// maxName is how long a DNS name can be.
const maxName = 253

// CheckName checks the name of a node, a CA or a version, which becomes part of a key.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name %.20q... is longer than %d characters", name, maxName)
	case name[0] == '.' || name[0] == '-' || strings.Contains(name, ".."):
		return fmt.Errorf("the name %q does not begin with a letter or digit, or has two dots in a row", name)
	case strings.ContainsFunc(name, notInNames):
		return fmt.Errorf("the name %q has other characters than a-z 0-9 . _ -", name)
	}
	return nil
}

func notInNames(c rune) bool {
	return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("._-", c))
}

// checkTarget is CheckName for a target, which may begin with "*.".
func checkTarget(name string) error {
	if len(name) > maxName {
		return CheckName(name)
	}
	return CheckName(strings.TrimPrefix(name, "*."))
}

// checkToken checks a token (RFC 8555, section 8.1): characters of base64url.
func checkToken(token string) error {
	if len(token) < 20 || len(token) > 256 || strings.ContainsFunc(token, notBase64) {
		return fmt.Errorf("%.20q is not a token", token)
	}
	return nil
}

func notBase64(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_')
}

// NewID returns 128 random bits in hex: the id of a fleet, a term or an ask.
func NewID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// IsID reports whether NewID may have returned s.
func IsID(s string) bool { return isHex(s, 32) }

// SeatValue returns the value of the seat while node sits there.
func SeatValue(node, term string) []byte { return []byte(node + " " + term) }

// ParseSeat returns the node and the term in a value of the seat.
func ParseSeat(value []byte) (node, term string, err error) {
	if len(value) > maxName+1+64 {
		return "", "", fmt.Errorf("the seat's value is too long")
	}
	node, term, _ = strings.Cut(string(value), " ")
	if CheckName(node) != nil || !IsID(term) {
		return "", "", fmt.Errorf("the seat's value %q is not a node and a term", value)
	}
	return node, term, nil
}

// isHex reports whether s consists of n hexadecimal digits in lower case.
func isHex(s string, n int) bool {
	return len(s) == n && !strings.ContainsFunc(s, func(c rune) bool { return !strings.ContainsRune("0123456789abcdef", c) })
}
