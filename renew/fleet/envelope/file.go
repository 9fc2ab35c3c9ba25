package envelope

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// Path returns where a node keeps its identity.
func Path(state string) string { return filepath.Join(state, "fleet", "node.key") }

// maxIdentity bounds the file of an identity.
const maxIdentity = 4 << 10

// Read returns the identity in a state directory. The error wraps fs.ErrNotExist if
// there is none. A file that others can read, or could replace, is refused.
func Read(state string) (*Identity, error) {
	path := Path(state)
	data, info, err := durable.ReadFile(path, maxIdentity, durable.Owned)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.Wrap(fmt.Errorf("this node has no key yet: %w", err), "keypaird fleet key makes it, and prints the line for [fleet.nodes]")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the node's key: %w", err)
	}
	if uid, ours := durable.Owner(info); !ours {
		return nil, problem.Newf(fmt.Sprintf("chown %d %s", os.Geteuid(), path), "%s belongs to user %d", path, uid)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, problem.Newf("chmod 600 "+path+"; if others may have read it, exchange it: keypaird fleet key -rotate", "%s can be used by others (mode %04o)", path, perm)
	}
	i, err := parseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return i, nil
}

// Save stores the identity in a state directory, readable only for its owner.
func (i *Identity) Save(state string) error {
	path := Path(state)
	if err := durable.MakeDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("saving the node's key: %w", err)
	}
	if err := durable.WriteFile(path, i.Marshal(), durable.FileMode{Perm: 0o600, UID: -1, GID: -1}); err != nil {
		return fmt.Errorf("saving the node's key: %w", err)
	}
	return nil
}
