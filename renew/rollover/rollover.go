package rollover

import (
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/tlsa"
)

// A Key is the key of the next certificate. Its record is published before it is
// used.
type Key struct {
	Type   string // as in the configuration
	SPKI   []byte // its public half
	Signer crypto.Signer
}

// NewKey describes a key.
func NewKey(key crypto.Signer) (*Key, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return &Key{keypair.KeyType(key.Public()), spki, key}, nil
}

// ParseKey reads the key of the certificate after newest, in PEM. One that is damaged or
// that newest has is none.
func ParseKey(data []byte, newest *x509.Certificate) *Key {
	signer, err := keypair.ParseKey(data)
	if err != nil {
		return nil
	}
	key, err := NewKey(signer)
	if err != nil || newest != nil && key.TLSA() == tlsa.Record(newest.RawSubjectPublicKeyInfo) {
		return nil
	}
	return key
}

// TLSA returns the record of the key, or "" without a key.
func (k *Key) TLSA() string {
	if k == nil {
		return ""
	}
	return tlsa.Record(k.SPKI)
}

// A State contains the stored keys of a target and its observed TLSA records.
type State struct {
	Names    []string          // of TLSA records; none: any key will do
	KeyType  string            // configured
	InUse    *x509.Certificate // live; nil: none
	Newest   *x509.Certificate // stored; nil: none
	Next     *Key              // nil: not made yet
	Deployed bool              // the newest is in use everywhere
	NewKey   bool              // the operator asked for another key than that of the newest
	Revoked  bool              // the newest was, and until it expires the next has another key
	Record   Record
}

// RolloverAt returns when the next certificate may have the next key; zero if that is
// unknown, because the record was not observed at one of the names.
func (s State) RolloverAt() time.Time {
	if s.Next == nil || s.Next.Type != s.KeyType || s.Next.TLSA() != s.Record.Next {
		return time.Time{}
	}
	var at time.Time
	for _, name := range s.Names {
		o := s.Record.Names[name]
		if o.Since.IsZero() || o.Since.Before(s.Record.Made) || o.Error != "" {
			return time.Time{}
		}
		if from := o.TrustedFrom(); from.After(at) {
			at = from
		}
	}
	return at
}

// Ready reports whether a certificate ordered at now may have the next key.
func (s State) Ready(now time.Time) bool {
	at := s.RolloverAt()
	return !at.IsZero() && !now.Before(at)
}

// A KeyChoice is the key that a certificate is ordered for.
type KeyChoice string

// Choices of a key.
const (
	FreshKey KeyChoice = "fresh" // a new one: the target has no TLSA records
	SameKey  KeyChoice = "same"  // that of the newest version, unless the next has to have another
	NextKey  KeyChoice = "next"  // its record was published in time
	NoKey    KeyChoice = "none"  // peers would refuse any
)

// ChooseKey returns the key for a certificate ordered at now.
func (s State) ChooseKey(now time.Time) KeyChoice {
	switch {
	case len(s.Names) == 0:
		return FreshKey
	case s.Ready(now):
		return NextKey
	case s.Newest != nil && !s.otherKey(now):
		return SameKey
	case s.unrestricted():
		return NextKey
	}
	return NoKey
}

// otherKey reports whether a certificate ordered at now must have another key than the newest.
func (s State) otherKey(now time.Time) bool {
	return s.NewKey || s.Revoked && now.Before(s.Newest.NotAfter)
}

// Forced returns s as it is for an order: one that the operator forces may have the key of a
// certificate that was revoked.
func (s State) Forced(force bool) State {
	s.Revoked = s.Revoked && !force
	return s
}

// unrestricted reports whether no name has a usable TLSA record.
func (s State) unrestricted() bool {
	for _, name := range s.Names {
		if !s.Record.Names[name].empty() {
			return false
		}
	}
	return s.Next != nil && s.Next.Type == s.KeyType
}

// Held returns why the first certificate, or one with a new key, is not ordered at now,
// or "" if it can be ordered or no name was queried yet.
func (s State) Held(now time.Time) string {
	if len(s.Record.Names) == 0 || s.Next == nil || s.ChooseKey(now) != NoKey {
		return ""
	}
	key := "its key"
	if s.otherKey(now) {
		key = "its next key"
	}
	for _, name := range s.Names {
		switch o := s.Record.Names[name]; {
		case o.Error != "":
			return "it is not known which TLSA records there are: " + name + ": " + o.Error
		case o.At.IsZero():
			return "the TLSA records of " + name + " were not queried yet"
		case !o.empty() && o.Since.IsZero():
			return "none of the TLSA records of " + name + " is that of " + key
		}
	}
	return "the TLSA record of " + key + " was not visible for two TTLs yet"
}

// Unknown reports whether the last query at some name failed.
func (s State) Unknown() bool {
	return slices.ContainsFunc(s.Names, func(name string) bool { return s.Record.Names[name].Error != "" })
}

// Mismatched lists the names with TLSA records that make peers refuse the certificate
// in use.
func (s State) Mismatched() []string {
	var names []string
	for _, name := range s.Names {
		if s.InUse != nil && tlsa.Refuses(s.Record.Names[name].Records, s.InUse) {
			names = append(names, name)
		}
	}
	return names
}

// Removable lists the observed records of retired keys at a name. The operator may
// remove them once the newest version is in use everywhere, which now reports.
func (s State) Removable(name string) (records []string, now bool) {
	o := s.Record.Names[name]
	for _, r := range slices.Concat(o.Records, o.Partly) {
		if slices.Contains(s.Record.Retired, r) {
			records = append(records, r)
		}
	}
	return records, s.Deployed
}

// Missing lists the zone lines to publish that were not observed.
func (s State) Missing() []string {
	var lines []string
	for _, name := range s.Names {
		lines = append(lines, s.MissingAt(name, s.Record.Names[name].Records)...)
	}
	return lines
}

// MissingAt lists the zone lines to publish at a name beside records: those of the key
// in use, of the newest version and of the next certificate.
func (s State) MissingAt(name string, records []string) []string {
	var keys [][]byte
	for _, leaf := range []*x509.Certificate{s.InUse, s.Newest} {
		if leaf != nil {
			keys = append(keys, leaf.RawSubjectPublicKeyInfo)
		}
	}
	if s.Next != nil {
		keys = append(keys, s.Next.SPKI)
	}
	var lines []string
	for _, spki := range keys {
		if line := tlsa.ZoneLine(name, tlsa.Record(spki)); !tlsa.NamesKey(records, spki) && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Intervals between queries for TLSA records: short after a failure or a mismatch,
// one TTL while a record is missing, and otherwise an hour.
const (
	RetryAfterMismatch = 10 * time.Minute
	minPublishWait     = 5 * time.Minute
	MaxQueryInterval   = time.Hour
)

// NextQuery returns when to query again after queries at now, which found a mismatch
// or not.
func (s State) NextQuery(now time.Time, mismatch bool) time.Time {
	wait := MaxQueryInterval
	for _, name := range s.Names {
		switch o := s.Record.Names[name]; {
		case o.Error != "", mismatch:
			wait = min(wait, RetryAfterMismatch)
		case o.Since.IsZero():
			wait = min(wait, max(o.TTL, minPublishWait))
		case o.TrustedFrom().After(now):
			wait = min(wait, o.TrustedFrom().Sub(now)+time.Second)
		}
	}
	return now.Add(wait)
}
