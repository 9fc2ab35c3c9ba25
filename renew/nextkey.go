package renew

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// ensureNextKey makes the next key, of the configured type, if there is none, and
// records which keys there are.
func (p *Pass) ensureNextKey(ctx context.Context, j *job) error {
	err := LoadNextKey(p.Store, j.Target, &j.state)
	if err != nil {
		return fmt.Errorf("reading the next key: %w", err)
	}
	if n := j.state.Next; n == nil || n.Type != j.KeyType {
		if err := p.makeNextKey(ctx, j); err != nil {
			return fmt.Errorf("making the next key: %w", err)
		}
	}
	used, made := "", j.state.Record.TLSA.Made
	if j.state.Leaf != nil {
		used = tlsa.Record(j.state.Leaf.RawSubjectPublicKeyInfo)
	}
	if d := &j.state.Record.TLSA; d.Used != used || d.Next != j.state.Next.TLSA() {
		if d.Next != j.state.Next.TLSA() {
			made = time.Time{}
			if j.state.Leaf != nil {
				made = j.state.Leaf.NotBefore.UTC()
			}
		}
		d.Record = d.WithKeys(used, j.state.Next.TLSA())
		d.Made = made
		if err := p.save(j); err != nil {
			p.Log.Warn("record not saved", "cert", j.Name, "step", "making the next key", "err", err)
		}
	}
	return nil
}

// makeNextKey makes a key and writes it to the disk.
func (p *Pass) makeNextKey(ctx context.Context, j *job) error {
	key, err := keypair.NewKey(ctx, j.KeyType)
	if err != nil {
		return err
	}
	data, err := keypair.MarshalKey(key)
	if err != nil {
		return err
	}
	next, err := rollover.NewKey(key)
	if err != nil {
		return err
	}
	err = p.Store.WriteFile(j.Name, nextKeyFile, data)
	var written *durable.WriteError
	if err != nil && !(errors.As(err, &written) && written.Done) {
		return err
	}
	j.state.Next = next
	return nil
}

// keyFor returns the key to order a certificate for; nil means a new one.
func (p *Pass) keyFor(ctx context.Context, j *job) (crypto.Signer, error) {
	switch j.rollover().ChooseKey(p.now()) {
	case rollover.FreshKey:
		return nil, nil
	case rollover.NextKey:
		return j.state.Next.Signer, nil
	case rollover.NoKey:
		if err := p.ensureNextKey(ctx, j); err != nil {
			return nil, err
		}
		return nil, j.heldError(p.now())
	}
	v, err := p.Store.Newest(j.Name)
	if err == nil && tlsa.Record(v.Pair.Leaf.RawSubjectPublicKeyInfo) == tlsa.Record(j.state.Leaf.RawSubjectPublicKeyInfo) {
		return keypair.ParseKey(v.Pair.Key())
	}
	if err == nil {
		err = append(v.Skipped, fs.ErrNotExist)[0]
	}
	return p.replaceLostKey(j, &LostKeyError{err})
}

// replaceLostKey returns the key to order a certificate for when the one that is
// kept cannot be read: none while there is time to repair that. A certificate that
// some peers refuse is better than one that has expired. The disk may recover.
func (p *Pass) replaceLostKey(j *job, lost *LostKeyError) (crypto.Signer, error) {
	now := p.now()
	if now.Before(j.state.Leaf.NotAfter) && !(none(lost.Err) && j.state.Urgent(now)) {
		return nil, lost
	}
	if next := j.state.Next; next != nil {
		p.Log.Error("key unreadable, using next key", "cert", j.Name, "err", lost)
		return next.Signer, nil
	}
	p.Log.Error("key unreadable, using a new key", "cert", j.Name, "err", lost)
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

// dropNextKey removes the next key of a target that has no TLSA records any more,
// and what is known of them: by the time it has some again, the key may have leaked.
func (p *Pass) dropNextKey(j *job) {
	if len(j.TLSA) > 0 || j.stateErr != nil || j.state.Record.TLSA.Empty() {
		return
	}
	err := p.Store.RemoveAll(j.Name, nextKeyFile)
	if err == nil {
		j.state.Record.TLSA = TLSARecord{}
		err = p.save(j)
	}
	if err != nil {
		p.Log.Warn("next key not removed", "cert", j.Name, "err", err, "remedy", Remedy(err))
	}
}

func (j *job) rollover() rollover.State { return j.state.Rollover(j.Target) }

// heldError is why a first certificate is not ordered.
func (j *job) heldError(now time.Time) error {
	r := j.rollover()
	return &HeldError{Why: r.Held(now), Unknown: r.Unknown(), Records: r.Missing()}
}

// A HeldError reports a first certificate that peers would refuse for the TLSA
// records there are.
type HeldError struct {
	Why     string
	Unknown bool     // it could not be found out which there are
	Records []string // to publish
}

func (e *HeldError) Error() string { return "not ordered, " + e.Why }

// Remedy says what the operator can do about it.
func (e *HeldError) Remedy() string {
	if e.Unknown {
		return "see that the name servers answer, or correct resolvers in the [dns.*] table of that zone; or take tlsa out to go on without"
	}
	if len(e.Records) == 0 {
		return "wait: the records are there, and are to be visible for two TTLs"
	}
	return "publish this beside the records that are there, and keypaird goes on when it was visible for two TTLs: " + strings.Join(e.Records, "\n")
}
