package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/durable"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/problem"
)

// A beginning writes the id of a fleet into an engine.
type beginning struct {
	fleet    config.Fleet
	state    string
	identity *envelope.Identity
	members  envelope.Members
}

// newBeginning reports what keeps this machine from beginning the fleet.
func newBeginning(cfg *config.Config) (beginning, error) {
	b := beginning{fleet: cfg.Fleet, state: cfg.State, members: cfg.Fleet.Nodes.Members()}
	if !cfg.OrdersHere() {
		return b, problem.Newf("run this on one of "+strings.Join(cfg.Fleet.Order, ", "), "this node, %q, is not in order", cfg.Fleet.Node)
	}
	var err error
	if b.identity, err = envelope.Read(cfg.State); err != nil {
		return b, err
	}
	return b, CheckLine(cfg.Fleet.Node, b.identity, b.members)
}

// CheckLine reports an identity that [fleet.nodes] does not have for this node.
func CheckLine(node string, i *envelope.Identity, members envelope.Members) error {
	if slices.ContainsFunc(i.Publics(), func(p envelope.Public) bool { return slices.Contains(members[node], p) }) {
		return nil
	}
	if other := members.Node(i.Public()); other != "" {
		return problem.Newf("set node in [fleet], or, if the state directory was copied from that node, remove fleet/node.key in it and run keypaird fleet key", "this node is %q, and has the key of %q", node, other)
	}
	return problem.Newf("put the line that keypaird fleet key prints here into [fleet.nodes] on every node", "[fleet.nodes] has another key for this node, %q", node)
}

// begin returns the id of the fleet in the engine. fresh reports that this call wrote it
// there: a new one, or, into an engine that was emptied, that of this machine.
func (b beginning) begin(ctx context.Context, e engine.Engine) (id string, fresh bool, err error) {
	own, err := savedID(b.state)
	if err != nil {
		return "", false, err
	}
	id, err = b.find(ctx, e)
	if err == nil && id == "" {
		id, fresh, err = b.write(ctx, e, own)
	}
	switch {
	case err != nil:
		return "", false, err
	case own != "" && own != id:
		return "", false, otherFleet(b.fleet.Prefix, b.state, own, id)
	}
	return id, fresh, saveID(b.state, id)
}

// otherFleet returns the error for a prefix that holds the fleet id, while this machine belongs
// to the fleet own.
func otherFleet(prefix, state, own, id string) error {
	return problem.Newf("choose another prefix in [fleet]; if this machine is to leave its old fleet for this one, remove "+idPath(state),
		"%s holds fleet %s, and this machine belongs to fleet %s", prefix, id, own)
}

// find returns the id that the engine has, "" if the prefix is empty.
func (b beginning) find(ctx context.Context, e engine.Engine) (string, error) {
	id, err := findID(ctx, e, b.members)
	return id, foreign(b.fleet.Prefix, err)
}

// foreign explains an error in reading the id of a fleet: a value that no member signed
// belongs to another fleet. Other errors, and nil, stay as they are.
func foreign(prefix string, err error) error {
	if _, other := errors.AsType[*envelope.SignatureError](err); other {
		return problem.Newf("choose another prefix in [fleet]; if it is this fleet, have the same [fleet.nodes] on every node", "%s holds another fleet: %w", prefix, err)
	}
	return err
}

// write writes an id: own, or a new one if that is empty.
func (b beginning) write(ctx context.Context, e engine.Engine, own string) (id string, fresh bool, err error) {
	if id = own; id == "" {
		id = document.NewID()
		s, err := e.Read(ctx, "")
		if err != nil {
			return "", false, err
		}
		if len(s.Entries) > 0 {
			return "", false, problem.Newf("choose another prefix in [fleet], or remove them", "%s holds %d keys already, and no fleet: %.200q", b.fleet.Prefix, len(s.Entries), s.Entries[0].Key)
		}
	}
	value, err := b.value(id)
	if err != nil {
		return "", false, err
	}
	_, err = e.Commit(ctx, []engine.Condition{{Key: document.FleetKey}}, []engine.Op{{Key: document.FleetKey, Value: value}})
	if err == nil {
		return id, true, nil
	}
	// Another node may have been faster, or the answer was lost.
	found, findErr := b.find(ctx, e)
	if findErr != nil || found == "" {
		return "", false, err
	}
	return found, found == id, nil
}

func (b beginning) value(id string) ([]byte, error) {
	m := envelope.Message{Header: envelope.Header{Fleet: id, Key: document.FleetKey, By: b.fleet.Node, At: time.Now().UTC().Truncate(time.Second)}}
	var err error
	if m.Body, err = json.Marshal(document.Fleet{ID: id, Format: document.Format}); err != nil {
		return nil, err
	}
	return b.identity.Sign(m)
}

// findID returns the id of the fleet that the engine has, "" if it has none. A value that
// no member signed is a *SignatureError.
func findID(ctx context.Context, e engine.Engine, members envelope.Members) (string, error) {
	entry, err := engine.ReadKey(ctx, e, document.FleetKey)
	if err != nil || entry.Value == nil {
		return "", err
	}
	m, err := members.Open(entry.Value, "", entry.Key, nil)
	if err != nil {
		return "", err
	}
	f, err := document.Parse[document.Fleet](m.Body)
	if err != nil {
		return "", problem.Newf("have the same version of keypaird on all nodes", "the id of the fleet in the engine, written by node %q: %w", m.By, err)
	}
	return f.ID, nil
}

// ID returns the id of this machine's fleet: from STATE/fleet/id, or from the engine, and
// then it is remembered there. It is "" before keypaird fleet init.
func ID(ctx context.Context, e engine.Engine, cfg *config.Config) (string, error) {
	id, err := savedID(cfg.State)
	if err != nil || id != "" {
		return id, err
	}
	if id, err = findID(ctx, e, cfg.Fleet.Nodes.Members()); err != nil || id == "" {
		return "", foreign(cfg.Fleet.Prefix, err)
	}
	return id, saveID(cfg.State, id)
}

func idPath(state string) string { return filepath.Join(state, "fleet", "id") }

// savedID returns the id in the state directory, or "".
func savedID(state string) (string, error) {
	data, _, err := durable.ReadFile(idPath(state), 1024, durable.Owned)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the id of the fleet: %w", err)
	}
	id := strings.TrimSpace(string(data))
	if !document.IsID(id) {
		return "", problem.Newf("restore it from a backup, or remove it: it is read from the engine then", "%s holds no id of a fleet", idPath(state))
	}
	return id, nil
}

func saveID(state, id string) error {
	if old, err := savedID(state); err == nil && old == id {
		return nil
	}
	if err := durable.MakeDir(filepath.Dir(idPath(state))); err != nil {
		return fmt.Errorf("saving the id of the fleet: %w", err)
	}
	if err := durable.WriteFile(idPath(state), []byte(id+"\n"), durable.FileMode{Perm: 0o600, UID: -1, GID: -1}); err != nil {
		return fmt.Errorf("saving the id of the fleet: %w", err)
	}
	return nil
}
