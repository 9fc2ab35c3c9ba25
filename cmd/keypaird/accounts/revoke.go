package accounts

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/notify"
	"keypaird/renew/problem"
)

// reasons are those that a subscriber may give (RFC 5280, section 5.3.1).
var reasons = map[string]uint{"unspecified": 0, "keyCompromise": 1, "affiliationChanged": 3, "superseded": 4, "cessationOfOperation": 5}

// Reasons returns the reasons of a revocation, sorted.
func Reasons() []string { return slices.Sorted(maps.Keys(reasons)) }

// A Revocation selects the certificates to revoke.
type Revocation struct {
	Target string
	Reason string // "": none is given
	Key    bool   // sign by the certificate's key, not by the account's

	version keypair.Version
	ca      string
}

// Revoked is the result of "keypaird revoke -json".
type Revoked struct {
	Target      string `json:"target"`
	Version     string `json:"version"`
	Fingerprint string `json:"fingerprint"`
	Serial      string `json:"serial"` // hexadecimal
	CA          string `json:"ca"`
	Reason      string `json:"reason,omitempty"`
	ReplacedBy  string `json:"replaced_by,omitempty"` // version that is live now

	remedy string
}

// Find finds the live version of the target, which is what will be revoked, whatever is
// live by then.
func (r *Revocation) Find(e *engine.Engine) error {
	if _, known := reasons[r.Reason]; !known && r.Reason != "" {
		return problem.Newf("give one of: "+strings.Join(Reasons(), ", "), "%q is not a reason", r.Reason)
	}
	var err error
	if r.version, err = e.Store.Live(r.Target); errors.Is(err, fs.ErrNotExist) {
		return problem.Newf("list the certificates: keypaird status", "no certificate of %q is stored", r.Target)
	} else if err != nil {
		return err
	}
	record, err := renew.LoadRecord(e.Store, r.Target)
	if err != nil {
		return err
	}
	switch r.ca = record.CA; r.ca {
	case "":
		return problem.Newf("ask the CA, which finds it by its serial number", "it is not known which CA issued the certificate of %q", r.Target)
	case renew.NameOfExternal:
		return problem.Newf("ask the CA that it comes from", "the certificate of %q was imported from files", r.Target)
	}
	return nil
}

// Replaced returns the version that is live now, "" if it is still the one to be revoked.
func (r *Revocation) Replaced(e *engine.Engine) string {
	if id, err := e.Store.LiveID(r.Target); err == nil && id != r.version.ID {
		return id
	}
	return ""
}

// Replace orders and deploys another certificate with another key, and fails unless it is
// live then; errs are why not.
func (r *Revocation) Replace(ctx context.Context, e *engine.Engine, step func(target, step string)) (errs []error, err error) {
	targets, err := e.WithNewKeys(e.Select(map[string]bool{r.Target: true}), true)
	if err != nil {
		return nil, err
	}
	pass := e.Pass(renew.Force)
	pass.Step, pass.Records = step, new(renew.Records)
	did := pass.Run(ctx, targets)
	if len(did.Errs) > 0 || r.Replaced(e) == "" {
		err = problem.Newf("repair what failed and try again, or revoke it without: keypaird revoke -only "+r.Target,
			"the certificate of %q is not revoked: it has no replacement yet", r.Target)
	}
	return did.Errs, err
}

// Run asks the CA. A key that is compromised revokes its certificates itself, so that the
// CA certifies it for nobody again. In a fleet, a certificate without a replacement is revoked
// on the node in the seat, which alone replaces it.
func (r *Revocation) Run(ctx context.Context, e *engine.Engine) (Revoked, error) {
	leaf := r.version.Pair.Leaf
	done := Revoked{r.Target, r.version.ID, r.version.Pair.Fingerprint(), fmt.Sprintf("%x", leaf.SerialNumber), r.ca, r.Reason, r.Replaced(e), notify.RevokedRemedy(r.Target)}
	if !e.HasTarget(r.Target) {
		done.remedy = notify.UnconfiguredRemedy(r.Target)
	} else if f := e.Fleet(); f != nil && f.Seat != f.Node && done.ReplacedBy == "" {
		if f.Seat != "" {
			return done, problem.Newf("run it on node "+f.Seat, "node %s replaces the certificates of the fleet, and would not know that %q is revoked", f.Seat, r.Target)
		}
		done.remedy = "replace it and its key once a node orders for the fleet: keypaird issue -new-key " + r.Target
	}
	c, err := e.CA(r.ca)
	if err != nil {
		return done, err
	}
	var key crypto.Signer
	if r.Key || r.Reason == "keyCompromise" {
		if key, err = keypair.ParseKey(r.version.Pair.Key()); err != nil {
			return done, err
		}
	}
	var reason *uint
	if code, given := reasons[r.Reason]; given {
		reason = &code
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.Revoke(ctx, leaf, key, reason); err != nil {
		return done, fmt.Errorf("revoking the certificate of %q: %w", r.Target, err)
	}
	return done, r.record(e)
}

// record records that the certificate was revoked, so that the next pass replaces it if it
// is still live.
func (r *Revocation) record(e *engine.Engine) error {
	record, err := renew.LoadRecord(e.Store, r.Target)
	if err == nil {
		record.SetRevoked(r.version.Pair.Fingerprint(), time.Now())
		err = new(renew.Records).SaveDurably(e.Store, r.Target, record)
	}
	if err != nil && r.Replaced(e) == "" {
		return problem.Newf("replace it: keypaird issue -new-key "+r.Target, "the certificate of %q is revoked, which could not be recorded: %w", r.Target, err)
	}
	return nil
}

// WriteText writes what was revoked, and what is to be done.
func (r Revoked) WriteText(w io.Writer) error {
	next := r.remedy
	if r.ReplacedBy != "" {
		next = "replaced by " + r.ReplacedBy
	}
	_, err := fmt.Fprintf(w, "%s: %s revoked the certificate %.16s; %s\n", r.Target, r.CA, r.Fingerprint, next)
	return err
}
