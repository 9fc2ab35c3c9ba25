package renew

import (
	"context"
	"time"
)

// begin records that what a deployment had is undone, before it is done in
// another way, or again since a file was lost. Whatever comes of that, it is not
// taken for done: neither after a kill, nor when all files are there again and
// the reload is still missing.
func (p *Pass) begin(a *arrival, name string, c Change) {
	d := a.state.Record.Deployments[name]
	if c.Deployed || !d.has(a.state.Fingerprint) {
		return
	}
	d.undo(a.state.Fingerprint)
	a.state.Record.deployment(name, d)
	if err := p.saveDurably(a.job); err != nil {
		p.Log.Warn("begin of a deployment not recorded", "cert", a.Name, "err", err)
	}
}

// has reports whether a certificate was deployed.
func (d Deployment) has(fingerprint string) bool {
	return d.Deployed == fingerprint || d.Verified == fingerprint
}

// undo forgets that a certificate was deployed.
func (d *Deployment) undo(fingerprint string) {
	if d.Deployed == fingerprint {
		d.Deployed = ""
	}
	if d.Verified == fingerprint {
		d.Verified = ""
	}
}

// recordDeployment keeps how far a target got, so that the next pass does only
// what is missing. An interrupt is not a failure, and nothing is known of what
// it interrupted: that is done again.
func (p *Pass) recordDeployment(ctx context.Context, a *arrival, name string, outcome Outcome, err error) error {
	a.placed = a.placed || outcome != TakenBack
	if err != nil && ctx.Err() != nil {
		return nil
	}
	now := p.now()
	d := a.state.Record.Deployments[name]
	d.undo(a.state.Fingerprint) // what was seen before says nothing of the files and the server of now
	if outcome == Verified || outcome == InUse {
		d.Deployed, d.Manner = a.state.Fingerprint, a.Manner[name].Sum
	}
	if outcome == Verified {
		d.Verified, d.At, d.Attempt = a.state.Fingerprint, now.UTC().Truncate(time.Second), Attempt{}
		a.moved = true
	} else {
		d.Attempt = d.Attempt.Failed(err, now, a.state.ends())
	}
	a.state.Record.deployment(name, d)
	return p.save(a.job)
}
