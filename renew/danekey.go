package renew

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"keypaird/renew/keypair"
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
	return TLSA(a.SPKI)
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
	if s.Next, err = newAnnounced(key); err == nil && s.Leaf != nil && s.Next.TLSA() == TLSA(s.Leaf.RawSubjectPublicKeyInfo) {
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
	used := ""
	if j.state.Leaf != nil {
		used = TLSA(j.state.Leaf.RawSubjectPublicKeyInfo)
	}
	if d := &j.state.Record.Dane; d.Used != used || d.Key != j.state.Next.TLSA() {
		*d = d.follow(used, j.state.Next.TLSA())
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
	if err != nil {
		return nil, fmt.Errorf("reading the key that is kept: %w", err)
	}
	if TLSA(v.Pair.Leaf.RawSubjectPublicKeyInfo) != TLSA(j.state.Leaf.RawSubjectPublicKeyInfo) {
		return nil, fmt.Errorf("reading the key that is kept: %w", append(v.Skipped, fs.ErrNotExist)[0])
	}
	return keypair.ParseKey(v.Pair.Key())
}
