package renew

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/tlsa"
)

// nextKeyFile holds the key of the certificate after the newest, in PEM. It is
// written before anybody is told of its record. It may be the newest version's
// own when the process was killed before it made another.
const nextKeyFile = "nextkey.pem"

// An Announced key is one whose record is to be published before it is used.
type Announced struct {
	Type string // as in the configuration
	SPKI []byte // its public half
	key  crypto.Signer
}

// TLSA is the record of the key, "" if there is none.
func (a *Announced) TLSA() string {
	if a == nil {
		return ""
	}
	return tlsa.Record(a.SPKI)
}

func newAnnounced(key crypto.Signer) (*Announced, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return &Announced{keypair.KeyType(key.Public()), spki, key}, nil
}

// LookNext reads the next key of a target into s, if it is one that has TLSA
// records. One that is missing or damaged is none.
func LookNext(store *keypair.Store, t Target, s *State) error {
	s.Next = nil
	if len(t.TLSA) == 0 {
		return nil
	}
	data, err := store.ReadFile(t.Name, nextKeyFile)
	if err != nil && none(err) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := keypair.ParseKey(data)
	if err != nil {
		return nil
	}
	if s.Next, err = newAnnounced(key); err == nil && s.Leaf != nil && s.Next.TLSA() == tlsa.Record(s.Leaf.RawSubjectPublicKeyInfo) {
		s.Next = nil // it was used
	}
	return err
}

// announce sees that there is a next key of the type that is configured, and that
// the record tells of it.
func (p *Pass) announce(ctx context.Context, j *job) error {
	err := LookNext(p.Store, j.Target, &j.state)
	if err != nil {
		return fmt.Errorf("reading the next key: %w", err)
	}
	if n := j.state.Next; n == nil || n.Type != j.KeyType {
		if err := p.makeNext(ctx, j); err != nil {
			return fmt.Errorf("making the next key: %w", err)
		}
	}
	used, made := "", j.state.Record.Dane.Made
	if j.state.Leaf != nil {
		used = tlsa.Record(j.state.Leaf.RawSubjectPublicKeyInfo)
	}
	if d := &j.state.Record.Dane; d.Used != used || d.Key != j.state.Next.TLSA() {
		if d.Key != j.state.Next.TLSA() {
			made = time.Time{}
			if j.state.Leaf != nil {
				made = j.state.Leaf.NotBefore.UTC()
			}
		}
		*d = d.follow(used, j.state.Next.TLSA())
		d.Made = made
		if err := p.save(j); err != nil {
			p.Log.Warn("next key not recorded", "cert", j.Name, "err", err)
		}
	}
	return nil
}

// makeNext makes a key and has it on disk.
func (p *Pass) makeNext(ctx context.Context, j *job) error {
	key, err := keypair.NewKey(ctx, j.KeyType)
	if err != nil {
		return err
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return err
	}
	next, err := newAnnounced(key)
	if err != nil {
		return err
	}
	err = p.Store.WriteFile(j.Name, nextKeyFile, data)
	var written *keypair.WriteError
	if err != nil && !(errors.As(err, &written) && written.Done) {
		return err
	}
	j.state.Next = next
	return nil
}

// keyFor returns the key to order a certificate for; nil means a new one.
func (p *Pass) keyFor(ctx context.Context, j *job) (crypto.Signer, error) {
	switch ChooseKey(p.now(), j.Target, j.state) {
	case FreshKey:
		return nil, nil
	case NextKey:
		return j.state.Next.key, nil
	case NoKey:
		if err := p.announce(ctx, j); err != nil {
			return nil, err
		}
		return nil, j.hold(p.now())
	}
	v, err := p.Store.Newest(j.Name)
	if err == nil && tlsa.Record(v.Pair.Leaf.RawSubjectPublicKeyInfo) == tlsa.Record(j.state.Leaf.RawSubjectPublicKeyInfo) {
		return keypair.ParseKey(v.Pair.Key())
	}
	if err == nil {
		err = append(v.Skipped, fs.ErrNotExist)[0]
	}
	return p.instead(j, &LostKeyError{err})
}

// instead is the key to order a certificate for when the one that is kept cannot
// be read: none while there is time to repair that, but better refused by some
// peers than expired for all. The disk may only be at odds for a moment.
func (p *Pass) instead(j *job, lost *LostKeyError) (crypto.Signer, error) {
	now := p.now()
	if now.Before(j.state.Leaf.NotAfter) && !(none(lost.Err) && j.state.Urgent(now)) {
		return nil, lost
	}
	if next := j.state.Next; next != nil {
		p.Log.Error("key lost, the next one takes its place", "cert", j.Name, "err", lost)
		return next.key, nil
	}
	p.Log.Error("key lost, a new one takes its place", "cert", j.Name, "err", lost)
	return nil, nil
}

// A LostKeyError reports that the key cannot be read that the TLSA records name.
type LostKeyError struct{ Err error }

func (e *LostKeyError) Error() string { return "reading the key that is kept: " + e.Err.Error() }

func (e *LostKeyError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *LostKeyError) Remedy() string {
	if !none(e.Err) {
		return Remedy(e.Err)
	}
	return "restore it from a backup; or publish the TLSA record of the next key, which is used when that was visible for two TTLs, and in any case when a quarter of the lifetime is left"
}

// forget removes the next key of a target that has no TLSA records any more, and
// what is known of them: should it have some again, the key may have been in
// anybody's hands.
func (p *Pass) forget(j *job) {
	if len(j.TLSA) > 0 || j.broken != nil || !j.state.Record.Dane.known() {
		return
	}
	err := p.Store.RemoveAll(j.Name, nextKeyFile)
	if err == nil {
		j.state.Record.Dane = Dane{}
		err = p.save(j)
	}
	if err != nil {
		p.Log.Warn("next key not removed", "cert", j.Name, "err", err, "remedy", Remedy(err))
	}
}

// known reports whether there is anything in d.
func (d Dane) known() bool {
	return d.Used != "" || d.Key != "" || len(d.Former) > 0 || len(d.Names) > 0 || !d.Look.IsZero()
}
