package keypair

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// List returns the names that the store has a directory for, except those given,
// sorted. It looks at no directory of a name that is given.
func (s *Store) List(except map[string]bool) ([]string, error) {
	entries, err := s.certs.Names()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := entry
		if rest, ok := strings.CutPrefix(entry, wildcard); ok {
			name = "*." + rest
		}
		if except[name] {
			continue
		}
		if dir, err := dirName(name); err != nil || dir != entry {
			continue // not ours
		}
		if info, err := s.certs.Lstat(entry); err == nil && info.IsDir() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Remove removes the directory of name with all that is in it, durably. After a
// crash it is there as a whole or gone; the next call removes what is left of it
// under another name. The error is fs.ErrNotExist if there is no directory.
func (s *Store) Remove(name string) error {
	dir, err := dirName(name)
	if err != nil {
		return err
	}
	if err := s.certs.Tidy(); err != nil {
		return err
	}
	info, err := s.certs.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "removing", Path: s.certs.At(dir), Err: errors.New("is not a directory")}
	}
	s.made.Delete(name)
	return s.certs.Discard(dir)
}
