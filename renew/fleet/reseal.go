package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/view"
)

// resealAll goes through all pairs once in each term of this node, and again once its
// configuration changed, so that nodes which came, went or have a new key can open what they
// need. For a pair that it cannot open itself, it leaves the seat to another orderer, now or
// once one is alive.
func (f *Fleet) resealAll(ctx context.Context) {
	var last *Term
	reloads := 0
	done := map[string]error{} // by target
	for ctx.Err() == nil {
		f.mu.Lock()
		next, t, mayLeave := f.changed, f.term, !f.rests() && f.otherOrderer()
		if t != last || f.reloads != reloads {
			clear(done)
			last, reloads = t, f.reloads
		}
		target := ""
		for name := range f.view.Releases {
			if err, tried := done[name]; t != nil && (!tried || errors.Is(err, errSealed) && mayLeave) {
				target = name
				break
			}
		}
		f.mu.Unlock()
		if target == "" {
			select {
			case <-ctx.Done():
			case <-next:
				pause(ctx, time.Second)
			case <-time.After(restTime / 10): // this node may rest no longer
			}
			continue
		}
		sealed, err := f.Reseal(ctx, t, target)
		done[target] = err
		switch {
		case errors.Is(err, errSealed) && mayLeave && t.StandUp("the certificate of "+target+" is not sealed to this node yet", "", restTime):
			pause(ctx, time.Second) // the other orderer seals it anew
		case err != nil:
			f.Log.Warn("pair not resealed", "target", target, "err", err)
			pause(ctx, time.Second)
		case sealed:
			f.Log.Info("pair resealed", "target", target)
		}
	}
}

// errSealed says that this node cannot open a pair.
var errSealed = errors.New("a pair is sealed to other nodes")

// Reseal seals the pairs of a target in the engine, and its next key, again if the nodes
// that may have them, or their keys, changed since. It reports whether that was needed. The
// release stays as it is, so that no node deploys anything.
func (f *Fleet) Reseal(ctx context.Context, t *Term, target string) (bool, error) {
	unlock, err := f.lock(ctx, target)
	if err != nil {
		return false, err
	}
	defer unlock()
	sum, err := f.recipients(f.signer.WithOrderers(f.Audience(target)))
	if err != nil {
		return false, err
	}
	pairs, err := engine.Read(ctx, f.Engine, document.PairPrefix(target))
	if err != nil {
		return false, err
	}
	f.noteMissing(target, pairs)
	var do []engine.Op
	var failed []error
	for _, e := range pairs.Entries {
		body, m, err := view.Open(f.signer, e, f.Order, document.Parse[document.Pair])
		if err != nil || body.Recipients == sum {
			failed = append(failed, err)
			continue
		}
		key, err := f.Identity.Unseal(m.Sealed)
		if err != nil {
			failed = append(failed, fmt.Errorf("%w: %w", errSealed, err))
			continue
		}
		k, _ := document.ParseKey(e.Key)
		op, err := f.pairOp(target, k.Version, []byte(body.Chain), key, body.Nodes...)
		if err != nil {
			return false, err
		}
		do = append(do, op)
	}
	if len(do) == 0 {
		return false, errors.Join(failed...)
	}
	record, err := engine.ReadKey(ctx, f.Engine, document.RecordKey(target))
	if err != nil {
		return false, err
	}
	if op, ok := f.resealRecord(record); ok {
		do = append(do, op)
	}
	return true, errors.Join(append(failed, t.Commit(ctx, do...))...)
}

// noteMissing notes if the engine lacks the pair of a release. The lock of the target is
// held.
func (f *Fleet) noteMissing(target string, pairs engine.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.view.Releases[target]
	if r == nil || slices.ContainsFunc(pairs.Entries, func(e engine.Entry) bool { return e.Key == document.PairKey(target, r.Version) }) {
		return
	}
	f.Log.Warn("the engine lacks the certificate of a release", "target", target, "serial", r.Serial)
	f.missing[target] = r.Serial
	d := view.NewDelta()
	d.Targets[target] = true
	f.apply(d)
}

// resealRecord returns the operation that seals the next key in a record anew.
func (f *Fleet) resealRecord(e engine.Entry) (engine.Op, bool) {
	if e.Value == nil {
		return engine.Op{}, false
	}
	body, m, err := view.Open(f.signer, e, f.Order, document.Parse[document.Record])
	if err != nil || m.Sealed == nil {
		return engine.Op{}, false
	}
	secret, err := f.Identity.Unseal(m.Sealed)
	if err != nil {
		return engine.Op{}, false
	}
	if len(body.Nodes) > 0 {
		body.Nodes = f.signer.WithOrderers(body.Nodes)
	}
	op, err := f.signer.Op(e.Key, 0, body, secret, f.Order)
	return op, err == nil
}
