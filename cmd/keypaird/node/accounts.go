package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"time"

	"keypaird/acme/accountfile"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
)

// Account returns a store of the account at a CA, which is kept in files, too.
func (n *Node) Account(ca string, files accountfile.Store) accountfile.Store {
	return account{Store: files, node: n, ca: ca}
}

// An account implements accountfile.Store: files first, the engine second.
type account struct {
	accountfile.Store
	node *Node
	ca   string
}

// Save saves nothing on a node that does not sit: another one would not know of it. Without
// the engine, an account may be registered, but its key is not replaced: the fleet would go
// on with the one before.
func (a account) Save(part string, data []byte) error {
	if _, err := a.node.seat(); err != nil && (part == accountfile.NewKeyPart || !a.node.isAlone()) {
		return notPermitted(err)
	}
	return a.then(a.Store.Save(part, data))
}

func (a account) Rename(part, name string) error {
	return a.then(a.Store.Rename(part, name))
}

func (a account) Remove(part string) error {
	return a.then(a.Store.Remove(part))
}

// then publishes the account after a change of the files. Those of a node that does not sit
// are a copy.
func (a account) then(err error) error {
	if _, unseated := a.node.seat(); err != nil || unseated != nil {
		return err
	}
	return a.node.commitAccount(context.Background(), a.ca, a.Store)
}

// PermitAccountChange returns an error if an operator may not change accounts on this node now.
func (n *Node) PermitAccountChange() error {
	t, err := n.seat()
	switch {
	case err == nil:
		return t.Good()
	case n.Err() != nil:
		return fmt.Errorf("the accounts are those of the fleet: %w", err)
	}
	nodes := strings.Join(n.o.Fleet.Order, ", ")
	return problem.Newf("to replace a key: keypaird account rollover, where keypaird runs; else stop keypaird on "+nodes+", run this on one of them, and start it on all again",
		"the accounts are those of the fleet: %w", err)
}

// followAccounts makes the accounts of the engine and of this node the same. In the seat, either
// may have been restored since this node took it: keys of both are kept. Else this node copies
// the account of the engine, since it may have to order without it.
func (n *Node) followAccounts(ctx context.Context) {
	_, unseated := n.seat()
	if n.o.Fleet.Observer || !n.orders() || n.Err() != nil {
		return
	}
	for _, ca := range n.cas() {
		files := n.o.Files.Account(ca)
		shared, err := n.sharedAccount(ctx, ca)
		if err == nil && unseated == nil {
			err = n.mergeAccount(ctx, ca, files, shared)
		} else if err == nil {
			err = n.takeAccount(ca, files, shared)
		}
		if err != nil && ctx.Err() == nil {
			n.o.Log.Warn("account of the fleet not followed", "ca", ca, "err", err, "remedy", problem.Remedy(err))
		}
	}
}

// mergeAccount merges the account of the engine with that of this node, if they differ.
func (n *Node) mergeAccount(ctx context.Context, ca string, files accountfile.Files, shared map[string][]byte) error {
	have, err := accountParts(files.Store)
	if err != nil || maps.EqualFunc(have, shared, bytes.Equal) {
		return err
	}
	return n.pullAccount(ctx, ca, files)
}

// commitAccount gives the account to the nodes that may order.
func (n *Node) commitAccount(ctx context.Context, ca string, files accountfile.Store) error {
	if n.isAlone() {
		return nil
	}
	n.accounts.Lock()
	defer n.accounts.Unlock()
	parts, err := accountParts(files)
	if err != nil || len(parts) == 0 {
		return err
	}
	secret, err := json.Marshal(document.Account{Parts: parts})
	if err != nil {
		return err
	}
	op, err := n.op(document.AccountKey(ca), struct{}{}, secret)
	if err != nil {
		return err
	}
	return n.commit(ctx, op)
}

// accountParts reads an account from its files.
func accountParts(files accountfile.Store) (map[string][]byte, error) {
	parts := map[string][]byte{}
	for _, name := range accountfile.Parts {
		data, err := files.Load(name)
		switch {
		case err == nil:
			parts[name] = data
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return parts, nil
}

// pullAccount makes the fleet's account at a CA that of this node, which sits.
func (n *Node) pullAccount(ctx context.Context, ca string, files accountfile.Files) error {
	shared, err := n.sharedAccount(ctx, ca)
	if err == nil {
		err = n.takeAccount(ca, files, shared)
	}
	if err != nil {
		return err
	}
	return n.commitAccount(ctx, ca, files.Store) // sealed to those who may order now
}

// takeAccount makes the fleet's account at a CA that of this node; none if it has no parts. If
// this node has another key of it, the key was replaced since one of them was written: the CA
// says which one it knows, as after a change of the key that was cut off. Another account of
// this node is kept aside: none is lost.
func (n *Node) takeAccount(ca string, files accountfile.Files, shared map[string][]byte) error {
	have, err := accountParts(files.Store)
	if err != nil || len(shared) == 0 {
		return err
	}
	take := maps.Clone(shared)
	switch key := have[accountfile.KeyPart]; {
	case key == nil || bytes.Equal(key, shared[accountfile.KeyPart]):
		if take[accountfile.NewKeyPart] == nil {
			take[accountfile.NewKeyPart] = have[accountfile.NewKeyPart]
		}
		if key != nil && take[accountfile.AccountPart] == nil { // the engine has a registration that was cut off
			take[accountfile.AccountPart] = have[accountfile.AccountPart]
		}
	case sameAccount(have, shared) && (take[accountfile.NewKeyPart] == nil || bytes.Equal(key, take[accountfile.NewKeyPart])):
		take[accountfile.NewKeyPart] = key
	default:
		if err := files.SetAside(time.Now()); err != nil {
			return err
		}
		n.o.Log.Warn("using the account of the fleet; this node's own is kept beside it", "ca", ca, "dir", files.Store.Where(""))
	}
	maps.DeleteFunc(take, func(_ string, data []byte) bool { return data == nil })
	if maps.EqualFunc(have, take, bytes.Equal) {
		return nil
	}
	if own := have[accountfile.NewKeyPart]; own != nil && !bytes.Equal(own, take[accountfile.NewKeyPart]) && !bytes.Equal(own, take[accountfile.KeyPart]) {
		if err := files.SetNewAside(time.Now()); err != nil {
			return err
		}
	}
	if err := saveParts(files.Store, take); err != nil {
		return err
	}
	n.o.Log.Info("account of the fleet taken over", "ca", ca)
	return nil
}

// saveParts makes parts those of an account. It removes others last: if it is cut off, no
// part is lost.
func saveParts(files accountfile.Store, parts map[string][]byte) error {
	for _, name := range accountfile.Parts {
		if data := parts[name]; data != nil {
			if err := files.Save(name, data); err != nil {
				return err
			}
		}
	}
	for _, name := range accountfile.Parts {
		if parts[name] == nil {
			if err := files.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameAccount reports whether two have one URL.
func sameAccount(a, b map[string][]byte) bool {
	var x, y accountfile.File
	return json.Unmarshal(a[accountfile.AccountPart], &x) == nil && json.Unmarshal(b[accountfile.AccountPart], &y) == nil && x.URL != "" && x.URL == y.URL
}

// sharedAccount returns the parts of the fleet's account at a CA; none: there is none. One
// that this node cannot open is an error: it does not take another in its place.
func (n *Node) sharedAccount(ctx context.Context, ca string) (map[string][]byte, error) {
	e, err := engine.ReadKey(ctx, n.o.Fleet.Engine, document.AccountKey(ca))
	if err != nil || e.Value == nil {
		return nil, err
	}
	_, secret, err := fleet.Open(n.Fleet(), e, n.o.Fleet.Order, func([]byte) (struct{}, error) { return struct{}{}, nil })
	if err != nil {
		return nil, problem.Wrap(fmt.Errorf("the account of the fleet at %s: %w", ca, err),
			"have the same [fleet.nodes] and order on all nodes and reload keypaird on the one that ordered last, which seals the account anew; or, if another program wrote it, remove the key "+e.Key+" from the engine")
	}
	a, err := document.Parse[document.Account](secret)
	return a.Parts, err
}
