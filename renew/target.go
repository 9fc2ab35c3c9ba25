package renew

import (
	"context"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
)

// A Target is one certificate to keep alive, bound to what obtains it and to what
// uses it.
type Target struct {
	Name       string     // required; of its directory under certs/
	Names      []string   // what the certificate is for, normalised; none if it is external
	KeyType    string     // ec256 ec384 rsa2048 rsa3072 rsa4096
	Profile    string     // "" lets the CA choose
	Issuers    []Issuer   // required; in the order they are tried
	Deploy     []Deployer // may be empty
	NewKey     bool       // the operator asked for another key than that of the newest certificate
	TLSA       []string   // names of TLSA records by which peers know the key; may be empty
	Resolver   Resolver   // queries them; nil: they are not queried
	Challenges []string   // types of challenge of Names, for the operator; may be nil
	Domain     string     // the plain domain that it belongs to; "" if it is of no identity
	Components []string   // further XMPP domains of the identity
	Sharing    Sharing    // with other machines; nil: this one has the certificate alone

	Unconfigured []string // files that servers may still use of a target that is no longer configured; nil: it is
}

// External returns the files that the certificate comes from; nil: it is ordered.
func (t Target) External() *External {
	if len(t.Issuers) != 1 {
		return nil
	}
	x, _ := t.Issuers[0].(*External)
	return x
}

// Obtaining returns the step that gets a certificate from a CA, or from any.
func (t Target) Obtaining(ca string) backoff.Step {
	if t.External() != nil {
		return backoff.Step{Kind: backoff.Import}
	}
	return backoff.Step{Kind: backoff.Obtain, Name: ca}
}

// CAs returns the names of the CAs, in the order they are tried.
func (t Target) CAs() []string {
	names := []string{}
	if t.External() == nil {
		for _, i := range t.Issuers {
			names = append(names, i.String())
		}
	}
	return names
}

// issuer returns the target's issuer called name, or nil.
func (t Target) issuer(name string) Issuer {
	for _, i := range t.Issuers {
		if i.String() == name {
			return i
		}
	}
	return nil
}

// A Sharing connects this machine with others that share the certificate of one target: one
// of them orders it and publishes it, the others take it. Its methods may be called
// concurrently with those of other targets.
type Sharing interface {
	// Take returns what the others have and is to replace what is stored here, or is that
	// with another serial number; nil: nothing. The number is not below that in
	// s.Record.Fleet; it is the same where what was taken is no longer stored. Take is
	// called when the state has been read, before anything is decided. That the others
	// cannot be reached is no error: OrderHold says so.
	Take(ctx context.Context, s State) (*Taken, error)

	// OrderHold returns why this machine neither orders nor imports now, and so neither
	// asks for renewal information nor makes a next key; the zero value: it may. It holds
	// for every mode, and may be asked several times in a pass.
	OrderHold(now time.Time, s State, mode Mode) Limit

	// DeployHold returns why the newest certificate is not deployed here yet; the zero
	// value: it may be. A pass by the operator does not heed it, nor one with less than a
	// quarter of the lifetime left of what is in use.
	DeployHold(now time.Time, s State) Limit

	// Lacks reports whether the others have lost what is stored here, so that it is
	// published again. It is asked where OrderHold does not hold.
	Lacks(s State) bool

	// Publish gives the newest certificate to the others, with s.Record.Ordering, and
	// returns its serial number. It is called when that is stored and recorded, before the
	// order that led to it is forgotten, and after an error or a crash at the beginning of
	// the next pass where OrderHold does not hold.
	Publish(ctx context.Context, s State, p *keypair.Pair) (serial uint64, err error)

	// Keep gives the others s.Record.Ordering and the key of the next certificate. It is
	// called before the TLSA record of that key is shown, which it is not after an error.
	Keep(ctx context.Context, s State) error

	// Verified returns the fingerprint of the last certificate that all machines have
	// verified, also those that are away: the newest, or else s.Record.TLSA.Everywhere; and
	// the machines that are known not to have verified the newest.
	Verified(s State) (everywhere string, missing []string)

	// Reported is called after each pass with what is known then: what is verified, what
	// failed, and what the record now says of ordering. With err the state cannot be read.
	Reported(s State, err error)
}

// A Taken is a certificate that other machines have.
type Taken struct {
	Pair     *keypair.Pair
	Ordering Ordering // what they recorded of it
	Serial   uint64
}

// A Resolver queries the TLSA records of one target.
type Resolver interface {
	// TLSA returns the records published at name. After an error nothing is known
	// of them.
	TLSA(ctx context.Context, name string) (rollover.RecordSet, error)
}

// Remedy returns what err says the operator can do about it, or "".
func Remedy(err error) string { return durable.Remedy(err) }
