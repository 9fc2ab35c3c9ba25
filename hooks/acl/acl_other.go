//go:build !linux

package acl

import (
	"errors"
	"os"
)

// read: where there is no list that we know of, the mode says it all.
func read(*os.File) List { return nil }

// Write gives an open file the list a.
func Write(_ *os.File, a List) error {
	if a != nil {
		return errors.ErrUnsupported
	}
	return nil
}
