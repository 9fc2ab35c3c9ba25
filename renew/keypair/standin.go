package keypair

import (
	"errors"
	"fmt"
	"io/fs"

	"keypaird/renew/durable"
)

// standInDir takes the place of a version while there is none.
const standInDir = "stand-in"

// SetStandIn puts p where servers that read the store look for the live version of
// name, until [Store.SetLive]. It is no version, and nothing may be there: the error is
// fs.ErrExist otherwise.
func (s *Store) SetStandIn(name string, p *Pair) error {
	f, err := s.create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := f.highest()
	if err != nil {
		return err
	}
	if _, err := f.Lstat(liveLink); n > 0 || err == nil {
		return fmt.Errorf("%s holds a pair: %w", f.Path(), fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.Discard(standInDir); err != nil { // of a run that was killed
		return err
	}
	if err := f.addVersion(standInDir, p); err != nil {
		return err
	}
	if err := s.syncName(name); err != nil {
		return err
	}
	tmp := durable.TempName(liveLink)
	if err := f.Symlink(standInDir, tmp); err != nil {
		return err
	}
	return f.Publish(tmp, liveLink)
}
