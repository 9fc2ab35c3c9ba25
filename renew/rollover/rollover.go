package rollover

import (
	"crypto"
	"crypto/x509"
	"slices"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/tlsa"
)

// A Key is the key of the next certificate, whose record is published before it
// is used.
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

// TLSA is the record of the key, "" if there is none.
func (k *Key) TLSA() string {
	if k == nil {
		return ""
	}
	return tlsa.Record(k.SPKI)
}

// A State is what is stored of a target and what was observed of its TLSA
// records.
type State struct {
	Names    []string          // of TLSA records; none: peers do not know the key
	KeyType  string            // configured
	InUse    *x509.Certificate // live; nil: nothing is
	Newest   *x509.Certificate // stored; nil: nothing is
	Next     *Key              // nil: it was not made yet
	Deployed bool              // the newest is in use everywhere
	Record   Record
}

// RolloverAt is when the next certificate may have the next key; zero if that is
// not known, because at one of the names the record is not there, or was not seen.
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

// Ready reports whether a certificate that is ordered at now may have the next
// key.
func (s State) Ready(now time.Time) bool {
	at := s.RolloverAt()
	return !at.IsZero() && !now.Before(at)
}

// A KeyChoice says which key a certificate is ordered for.
type KeyChoice string

// Choices of a key.
const (
	FreshKey KeyChoice = "fresh" // a new one: there are no TLSA records to heed
	SameKey  KeyChoice = "same"  // that of the newest version
	NextKey  KeyChoice = "next"  // the one whose record was published
	NoKey    KeyChoice = "none"  // peers would refuse any
)

// ChooseKey says which key a certificate that is ordered at now is for.
func (s State) ChooseKey(now time.Time) KeyChoice {
	switch {
	case len(s.Names) == 0:
		return FreshKey
	case s.Ready(now):
		return NextKey
	case s.Newest != nil:
		return SameKey
	case s.unrestricted():
		return NextKey
	}
	return NoKey
}

// unrestricted reports whether no name has any TLSA record that peers can use.
func (s State) unrestricted() bool {
	for _, name := range s.Names {
		if !s.Record.Names[name].empty() {
			return false
		}
	}
	return s.Next != nil && s.Next.Type == s.KeyType
}

// Held says why the first certificate is not ordered at now, "" if nothing holds
// it back, or no name was queried yet.
func (s State) Held(now time.Time) string {
	if len(s.Record.Names) == 0 || s.Next == nil || s.ChooseKey(now) != NoKey {
		return ""
	}
	for _, name := range s.Names {
		switch o := s.Record.Names[name]; {
		case o.Error != "":
			return "it is not known which TLSA records there are: " + name + ": " + o.Error
		case o.At.IsZero():
			return "the TLSA records of " + name + " were not queried yet"
		case !o.empty() && o.Since.IsZero():
			return "none of the TLSA records of " + name + " is that of its key"
		}
	}
	return "the TLSA record of its key was not visible for two TTLs yet"
}

// Unknown reports whether the last query at some name failed.
func (s State) Unknown() bool {
	return slices.ContainsFunc(s.Names, func(name string) bool { return s.Record.Names[name].Error != "" })
}

// Mismatched lists the names whose TLSA records make peers refuse the certificate
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

// Removable lists the records seen at a name that are of retired keys. They may be
// removed now if the newest version is in use everywhere, else when it is.
func (s State) Removable(name string) (records []string, now bool) {
	o := s.Record.Names[name]
	for _, r := range slices.Concat(o.Records, o.Partly) {
		if slices.Contains(s.Record.Retired, r) {
			records = append(records, r)
		}
	}
	return records, s.Deployed
}

// Missing lists the lines that are to be published and were not seen.
func (s State) Missing() []string {
	var lines []string
	for _, name := range s.Names {
		lines = append(lines, s.MissingAt(name, s.Record.Names[name].Records)...)
	}
	return lines
}

// MissingAt lists the lines that are to be published at a name beside records:
// those of the keys in use, of the newest version and of the next certificate.
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

// How long until TLSA records are queried again: soon after a query that failed
// or found a mismatch, as often as they may change while one is waited for, and
// else every hour.
const (
	RetryAfterMismatch = 10 * time.Minute
	minPublishWait     = 5 * time.Minute
	MaxQueryInterval   = time.Hour
)

// NextQuery is when to query again after queries at now that did or did not find
// the records in order.
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
