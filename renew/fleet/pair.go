package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/view"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// maxPairRetry is the longest time until a pair is fetched again.
const maxPairRetry = 5 * time.Minute

// Release returns the release of a target that the engine has, verified; false: it has
// none, or its pair is missing, so that the node in the seat publishes it again.
func (f *Fleet) Release(target string) (document.Release, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.view.Releases[target]; r != nil && f.missing[target] != r.Serial {
		return r.Release, true
	}
	return document.Release{}, false
}

// Pair fetches the pair of a target's release, and checks that it is what this node may
// use: signed by an orderer, sealed to this node, with a key that fits its chain, valid
// now, and for all names that it must have. If it is not, Changed is called again: the node
// in the seat seals a pair anew, or writes it back, and its release stays as it is.
func (f *Fleet) Pair(ctx context.Context, target string) (*keypair.Pair, document.Release, error) {
	r, ok := f.Release(target)
	if !ok {
		return nil, r, problem.Newf("it comes once a node of [fleet] order has ordered it", "the fleet has no certificate of %q", target)
	}
	p, err := f.fetch(ctx, target, r)
	f.retryPair(target, err)
	return p, r, err
}

// fetch returns the pair of a release, if this node may use it.
func (f *Fleet) fetch(ctx context.Context, target string, r document.Release) (*keypair.Pair, error) {
	e, err := engine.ReadKey(ctx, f.Engine, document.PairKey(target, r.Version))
	if err != nil {
		return nil, err
	}
	if e.Value == nil {
		return nil, problem.Newf("the node in the seat writes it back, if it has it; see keypaird fleet status", "the engine lacks the certificate of release %d of %q", r.Serial, target)
	}
	p, err := f.openPair(e)
	if err == nil {
		err = f.checkPair(p, r, target)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// retryPair has Changed called for a target, later each time, after an error in fetching its
// pair; nil ends that.
func (f *Fleet) retryPair(target string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.retries, target)
		return
	}
	r := f.retries[target]
	if r == nil {
		r = &retry{after: minRetry}
		f.retries[target] = r
	}
	if r.pending {
		return
	}
	r.pending = true
	time.AfterFunc(r.after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		r.pending = false
		d := view.NewDelta()
		d.Targets[target] = true
		f.apply(d)
	})
	r.after = min(2*r.after, maxPairRetry)
}

// openPair returns the pair in an entry.
func (f *Fleet) openPair(e engine.Entry) (*keypair.Pair, error) {
	body, m, err := view.Open(f.signer, e, f.Order, document.Parse[document.Pair])
	if err != nil {
		return nil, err
	}
	key, err := f.Identity.Unseal(m.Sealed)
	if err != nil {
		return nil, problem.Wrap(err, "the node in the seat seals it anew when its [fleet.nodes] has the line that keypaird fleet key prints here, and this node is in nodes of a deployment of "+e.Key)
	}
	p, err := keypair.Parse([]byte(body.Chain), key)
	return p, problem.Wrap(err, "order another: keypaird issue -force")
}

// checkPair reports whether a pair is that of the release.
func (f *Fleet) checkPair(p *keypair.Pair, r document.Release, target string) error {
	if p.Fingerprint() != r.Fingerprint {
		return problem.Newf("the next release replaces it; if it stays so, another program writes to the engine: restrict its rights", "the certificate of release %d of %q is not the one that it names", r.Serial, target)
	}
	if err := p.Check(p.Names(), f.now()); err != nil {
		return err
	}
	if f.Names == nil {
		return nil
	}
	has := p.Names()
	missing := slices.DeleteFunc(slices.Clone(f.Names(target)), func(name string) bool { return slices.Contains(has, name) })
	if len(missing) > 0 {
		return problem.Newf("have the same file on all nodes; the node in the seat orders what its own file says", "release %d of %q lacks names that this node's file has: %s", r.Serial, target, keypair.Quoted(missing))
	}
	return nil
}

// recipients returns the sum of the keys that a pair is sealed to.
func (f *Fleet) recipients(nodes []string) (string, error) {
	publics, err := f.Members.Publics(nodes)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, p := range publics {
		lines = append(lines, p.String())
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8]), nil
}

// Had reports whether a node could open a key of a target that is in use or may come to be:
// that of the release, those of orders under way and the next key, which is returned if it
// could. It also reports so of what this node cannot read.
func (f *Fleet) Had(ctx context.Context, target, node string) (had bool, nextKey []byte, err error) {
	r, _ := f.Release(target)
	record := document.RecordKey(target)
	for _, prefix := range []string{document.PairKey(target, r.Version), document.OrderPrefix(target), record} {
		s, err := engine.Read(ctx, f.Engine, prefix)
		if err != nil {
			return false, nil, err
		}
		for _, e := range s.Entries {
			if k, _ := document.ParseKey(e.Key); k.Target != target {
				continue
			}
			body, m, err := view.Open(f.signer, e, f.Order, document.Parse[document.Sealed])
			if err == nil && (m.Sealed == nil || !body.Had(node)) {
				continue
			}
			had = true
			if e.Key == record && err == nil {
				nextKey, _ = f.Identity.Unseal(m.Sealed) // without it, this node does not use that key either
			}
		}
	}
	return had, nextKey, nil
}

// Forget deletes the pairs of a target that a node could open, but for that of the release:
// no rollback brings them back.
func (f *Fleet) Forget(ctx context.Context, t *Term, target, node string) error {
	unlock, err := f.lock(ctx, target)
	if err != nil {
		return err
	}
	defer unlock()
	r, ok := f.Release(target)
	pairs, err := engine.Read(ctx, f.Engine, document.PairPrefix(target))
	if err != nil || !ok {
		return err
	}
	var do []engine.Op
	for _, e := range pairs.Entries {
		body, _, err := view.Open(f.signer, e, f.Order, document.Parse[document.Sealed])
		if e.Key != document.PairKey(target, r.Version) && (err != nil || body.Had(node)) {
			do = append(do, engine.Op{Key: e.Key})
		}
	}
	if len(do) == 0 {
		return nil
	}
	return t.Commit(ctx, do...)
}

// pairOp returns the operation that writes a pair, sealed to the nodes that may have it. had
// are those that it was sealed to before.
func (f *Fleet) pairOp(target, version string, chain, key []byte, had ...string) (engine.Op, error) {
	to := f.signer.WithOrderers(f.Audience(target))
	sum, err := f.recipients(to)
	if err != nil {
		return engine.Op{}, err
	}
	nodes := slices.Concat(to, had)
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	body := document.Pair{Chain: string(chain), Recipients: sum, Sealed: document.Sealed{Nodes: nodes}}
	return f.signer.Op(document.PairKey(target, version), 0, body, key, to)
}
