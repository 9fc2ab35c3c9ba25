package renew

import (
	"context"
	"crypto"
	"fmt"
	"io/fs"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/record"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// ensureNextKey makes the next key, of the configured type, if there is none, gives it to
// other machines that share the certificate, and records the keys.
func (p *Pass) ensureNextKey(ctx context.Context, j *job) error {
	var err error
	if j.state.Next, err = record.LoadNextKey(p.Store, j.Name, j.state.Leaf); err != nil {
		return fmt.Errorf("reading the next key: %w", err)
	}
	if n := j.state.Next; n == nil || n.Type != j.KeyType {
		next, err := record.MakeNextKey(ctx, p.Store, j.Name, j.KeyType)
		if err != nil {
			return fmt.Errorf("making the next key: %w", err)
		}
		j.state.Next = next
	}
	used, issued, next, d := "", time.Time{}, j.state.Next.TLSA(), &j.state.Record.TLSA
	if leaf := j.state.Leaf; leaf != nil {
		used, issued = tlsa.Record(leaf.RawSubjectPublicKeyInfo), leaf.NotBefore.UTC()
	}
	if d.Used == used && d.Next == next {
		return nil
	}
	before := d.Record
	if d.Next != next {
		d.Made = issued
	}
	d.Record = d.WithKeys(used, next)
	if j.Sharing != nil {
		if err := j.Sharing.Keep(ctx, j.state); err != nil { // its record is not shown, and nothing is ordered for it
			d.Record, j.state.Next = before, nil
			return &OrderError{Held: true, Err: fmt.Errorf("giving the next key to the other machines: %w", err)}
		}
	}
	p.saveOrWarn(j, "making the next key")
	return nil
}

// keyFor returns the key to order a certificate for; nil means a new one.
func (p *Pass) keyFor(ctx context.Context, j *job) (crypto.Signer, error) {
	switch j.rollover().Forced(p.Mode == Force).ChooseKey(p.now()) {
	case rollover.FreshKey:
		return nil, nil
	case rollover.NextKey:
		return j.state.Next.Signer, nil
	case rollover.NoKey:
		if err := p.ensureNextKey(ctx, j); err != nil {
			return nil, err
		}
		return nil, j.rollover().HeldError(p.now())
	}
	v, err := p.Store.Newest(j.Name)
	if err == nil && tlsa.Record(v.Pair.Leaf.RawSubjectPublicKeyInfo) == tlsa.Record(j.state.Leaf.RawSubjectPublicKeyInfo) {
		return keypair.ParseKey(v.Pair.Key())
	}
	if err == nil {
		err = append(v.Skipped, fs.ErrNotExist)[0]
	}
	return p.replaceLostKey(j, err)
}

// replaceLostKey returns the key to order a certificate for when reading the stored
// key failed with err: none while there is time to repair that, or the disk may
// recover. A certificate that some peers refuse is better than an expired one.
func (p *Pass) replaceLostKey(j *job, err error) (crypto.Signer, error) {
	now, remedy := p.now(), Remedy(err)
	if keypair.None(err) {
		remedy = "restore it from a backup; or publish the TLSA record of the next key, which is used two TTLs later, and in any case when a quarter of the lifetime is left"
	}
	lost := problem.Newf(remedy, "reading the stored key: %w", err)
	if now.Before(j.state.Leaf.NotAfter) && !(keypair.None(err) && j.state.Urgent(now)) {
		return nil, lost
	}
	if next := j.state.Next; next != nil {
		p.Log.Error("key unreadable, using next key", "cert", j.Name, "err", lost)
		return next.Signer, nil
	}
	p.Log.Error("key unreadable, using a new key", "cert", j.Name, "err", lost)
	return nil, nil
}

// dropNextKey removes the next key of a target that no longer has TLSA records, and
// what was recorded of them: if it has some again later, the key may have leaked.
func (p *Pass) dropNextKey(j *job) {
	if len(j.TLSA) > 0 || j.stateErr != nil || j.state.Record.TLSA.Empty() {
		return
	}
	err := p.Store.RemoveAll(j.Name, NextKeyFile)
	if err == nil {
		j.state.Record.TLSA = TLSARecord{}
		err = p.save(j)
	}
	if err != nil {
		p.Log.Warn("next key not removed", "cert", j.Name, "err", err, "remedy", Remedy(err))
	}
}

func (j *job) rollover() rollover.State { return j.state.Rollover(j.Target) }
