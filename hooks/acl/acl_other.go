//go:build !linux

package acl

import (
	"errors"
	"os"
)

// read: lists are not supported.
func read(*os.File) List { return nil }

// Write sets the mode of an open file.
func Write(_ *os.File, a List) error {
	if a != nil {
		return errors.ErrUnsupported
	}
	return nil
}
