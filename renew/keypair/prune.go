package keypair

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"keypaird/renew/durable"
)

// Prune removes old versions of name. It keeps the live one, the newest whole
// one, the two whole ones before each of them, those with a fingerprint in
// keep, and the one with the highest number, so that no number is given twice.
// If it cannot see which those are it removes nothing.
func (s *Store) Prune(name string, keep ...string) error {
	f, err := s.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	ids, err := f.versions()
	if err != nil {
		return err
	}
	kept, err := f.kept(ids, keep)
	if err != nil {
		return err
	}
	if _, err := f.live(); err == nil {
		if err := f.Discard(standInDir); err != nil {
			return err
		}
	}
	for _, n := range slices.Backward(ids) {
		if kept[n] {
			continue
		}
		if err := f.Discard(versionID(n)); err != nil {
			return err
		}
	}
	return nil
}

// kept are the versions of ids, which descend, that Prune does not remove.
func (d nameDir) kept(ids []int, fingerprints []string) (map[int]bool, error) {
	switch len(ids) {
	case 0:
		return nil, nil
	case 1:
		return map[int]bool{ids[0]: true}, nil // whatever it is
	}
	live := 0
	switch id, err := d.live(); {
	case err == nil:
		live = number(id)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	kept := map[int]bool{ids[0]: true, live: true}
	var newer, older int // whole versions before the newest, before the live one
	for _, n := range ids {
		v, err := d.load(versionID(n))
		var broken *durable.BrokenError
		switch {
		case errors.As(err, &broken):
			continue
		case err != nil:
			return nil, err
		}
		if newer < 3 { // the newest and the two before it
			newer++
			kept[n] = true
		}
		if n < live && older < 2 {
			older++
			kept[n] = true
		}
		if slices.ContainsFunc(fingerprints, func(fp string) bool { return strings.EqualFold(fp, v.Pair.Fingerprint()) }) {
			kept[n] = true
		}
	}
	return kept, nil
}

// Tidy removes what a crash left of name's unfinished writes. It must not run
// while something is being written for name.
func (s *Store) Tidy(name string) error {
	f, err := s.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.tidy()
}

func (d nameDir) tidy() error {
	if err := d.Tidy(); err != nil {
		return err
	}
	pending, err := d.Sub("pending")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer pending.Close()
	return pending.Tidy()
}
