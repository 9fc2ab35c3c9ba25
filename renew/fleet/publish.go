package fleet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/view"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// A Publication becomes a release.
type Publication struct {
	Target string
	Pair   *keypair.Pair
	CA     string      // of the order that it ends; "": none
	Serial uint64      // of the release that this node took or published last; 0: none
	Again  bool        // Pair is that release, which the engine lost: it keeps its serial
	Urgent bool        // for all nodes at once
	Had    []string    // nodes that could open the key before, beside those of the pairs that have it, too
	More   []engine.Op // in the same commit
}

// keptPairs is how many versions of a pair the engine has.
const keptPairs = 2

// Publish makes a pair the newest release of its target, in one commit with the end of the
// order. It returns its serial. A pair that is the release already keeps
// its serial.
func (f *Fleet) Publish(ctx context.Context, t *Term, p Publication) (uint64, error) {
	unlock, err := f.lock(ctx, p.Target)
	if err != nil {
		return 0, err
	}
	defer unlock()
	f.mu.Lock()
	old := f.view.Releases[p.Target]
	serial := max(f.view.Serial(p.Target), p.Serial)
	// A release that the engine lost keeps its serial: under the next one, a node that alone has
	// a later release would take this one for it.
	if !p.Again || serial > p.Serial || old != nil && old.Serial == serial {
		serial++
	}
	nodes := f.progress(p.Target, nil)
	f.mu.Unlock()
	do := slices.Clone(p.More)
	if p.CA != "" {
		do = append(do, engine.Op{Key: document.OrderKey(p.Target, p.CA)})
	}
	if old != nil && old.Fingerprint == p.Pair.Fingerprint() && old.Serial == serial-1 {
		return old.Serial, t.Commit(ctx, do...)
	}
	release := document.Release{Serial: serial, Version: fmt.Sprintf("v%06d", serial), Fingerprint: p.Pair.Fingerprint(), NotAfter: p.Pair.Leaf.NotAfter}
	release = wave.First(f.now(), f.Rules, release, nodes, p.Urgent)
	previous := ""
	if old != nil {
		previous = old.Version
	}
	superfluous, had, err := f.olderPairs(ctx, p, release.Version, previous)
	if err != nil {
		return 0, err
	}
	op, err := f.pairOp(p.Target, release.Version, p.Pair.FullChain(), p.Pair.Key(), had...)
	if err != nil {
		return 0, err
	}
	do = append(append(do, op), superfluous...)
	return serial, f.commitRelease(ctx, t, p.Target, release, do)
}

// olderPairs returns the operations that delete the pairs of a target but for the new
// version and the one before it, and the nodes that could open the key of p before.
func (f *Fleet) olderPairs(ctx context.Context, p Publication, version, previous string) (do []engine.Op, had []string, err error) {
	pairs, err := engine.Read(ctx, f.Engine, document.PairPrefix(p.Target))
	if err != nil {
		return nil, nil, err
	}
	had = slices.Clone(p.Had)
	versions := []string{}
	for _, e := range pairs.Entries {
		if body, _, err := view.Open(f.signer, e, f.Order, document.Parse[document.Pair]); err == nil && isKeyOf(body, p.Pair) {
			had = append(had, body.Nodes...)
		}
		if k, _ := document.ParseKey(e.Key); k.Version != version {
			versions = append(versions, k.Version)
		}
	}
	slices.SortFunc(versions, func(a, b string) int { // the previous one first, then the newest
		if (a == previous) != (b == previous) {
			return map[bool]int{true: -1, false: 1}[a == previous]
		}
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
	})
	for i, v := range versions {
		if i >= keptPairs-1 {
			do = append(do, engine.Op{Key: document.PairKey(p.Target, v)})
		}
	}
	return do, had, nil
}

// isKeyOf reports whether two certificates have one key.
func isKeyOf(have document.Pair, p *keypair.Pair) bool {
	block, _ := pem.Decode([]byte(have.Chain))
	if block == nil {
		return false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	return err == nil && bytes.Equal(leaf.RawSubjectPublicKeyInfo, p.Leaf.RawSubjectPublicKeyInfo)
}

// commitRelease writes a release over the one that this node knows, with more operations.
// The lock of the target is held.
func (f *Fleet) commitRelease(ctx context.Context, t *Term, target string, r document.Release, more []engine.Op) error {
	r.NotAfter, r.At = r.NotAfter.UTC(), r.At.UTC()
	live, err := f.signer.Op(document.LiveKey(target), r.Serial, r, nil, nil)
	if err != nil {
		return err
	}
	f.mu.Lock()
	there := engine.Condition{Key: live.Key, Value: f.view.Value(target)}
	f.mu.Unlock()
	revision, err := t.CommitIf(ctx, []engine.Condition{there}, append([]engine.Op{live}, more...)...)
	if _, ok := errors.AsType[*engine.ConditionError](err); ok {
		f.readAgain() // the engine may have been restored
		return problem.Newf("it is done in the next pass", "the engine has another release of %q than this node knew", target)
	}
	if err != nil {
		return err
	}
	f.wrote(revision, live)
	return nil
}

// change rewrites the release of a target as a person wants it.
func (f *Fleet) change(ctx context.Context, t *Term, target string, to func(document.Release) document.Release) error {
	unlock, err := f.lock(ctx, target)
	if err != nil {
		return err
	}
	defer unlock()
	r, ok := f.Release(target)
	if !ok {
		return problem.Newf("see the releases: keypaird fleet status", "the fleet has no certificate of %q", target)
	}
	return f.commitRelease(ctx, t, target, to(r), nil)
}

// Hold keeps the release of a target from further nodes until Go. A release that has come
// to all nodes cannot be held.
func (f *Fleet) Hold(ctx context.Context, t *Term, target, reason string) error {
	if r, _ := f.Release(target); r.All {
		return problem.Newf("go back to the certificate before: keypaird fleet rollback "+target, "all nodes may deploy release %d of %q already", r.Serial, target)
	}
	return f.change(ctx, t, target, func(r document.Release) document.Release { return wave.Hold(r, reason) })
}

// Go lets all nodes deploy the release of a target now.
func (f *Fleet) Go(ctx context.Context, t *Term, target string) error {
	return f.change(ctx, t, target, func(r document.Release) document.Release { return wave.Go(f.now(), r) })
}

// Rollback makes the version before the newest release a new one, for all nodes at once,
// unless accepts returns why peers refuse it; a nil accepts is not asked.
func (f *Fleet) Rollback(ctx context.Context, t *Term, target string, accepts func(*x509.Certificate) error) (document.Release, error) {
	unlock, err := f.lock(ctx, target)
	if err != nil {
		return document.Release{}, err
	}
	defer unlock()
	now, found := f.Release(target)
	if !found {
		return now, problem.Newf("see the releases: keypaird fleet status", "the fleet has no certificate of %q", target)
	}
	pairs, err := engine.Read(ctx, f.Engine, document.PairPrefix(target))
	if err != nil {
		return now, err
	}
	failed := errors.New("the engine has no other version of it")
	for _, e := range slices.Backward(pairs.Entries) {
		k, _ := document.ParseKey(e.Key)
		if k.Version == now.Version {
			continue
		}
		p, err := f.openPair(e)
		if err == nil {
			err = p.Check(p.Names(), f.now())
		}
		if err != nil {
			failed = err
			continue
		}
		if accepts != nil {
			err = accepts(p.Leaf)
		}
		if err != nil {
			return now, fmt.Errorf("rolling %q back: %w", target, err)
		}
		f.mu.Lock()
		serial := f.view.Serial(target) + 1
		f.mu.Unlock()
		r := wave.Go(f.now(), document.Release{Serial: serial, Version: k.Version, Fingerprint: p.Fingerprint(), NotAfter: p.Leaf.NotAfter})
		return r, f.commitRelease(ctx, t, target, r, nil)
	}
	return now, problem.Wrap(fmt.Errorf("rolling %q back: %w", target, failed), "order another: keypaird issue -force "+target)
}
