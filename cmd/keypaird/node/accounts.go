package node

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"

	"keypaird/acme/accountfile"
	"keypaird/renew/fleet/document"
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

func (a account) Save(part string, data []byte) error {
	return a.then(a.Store.Save(part, data))
}

func (a account) Rename(part, name string) error {
	return a.then(a.Store.Rename(part, name))
}

func (a account) Remove(part string) error {
	return a.then(a.Store.Remove(part))
}

// then publishes the account after a change of the files.
func (a account) then(err error) error {
	if err != nil {
		return err
	}
	return a.node.commitAccount(context.Background(), a.ca, a.Store)
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
