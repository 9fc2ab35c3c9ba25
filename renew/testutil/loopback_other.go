//go:build !linux

package testutil

import "errors"

// StartLoopback starts the loopback interface of a new network namespace.
func StartLoopback() error { return errors.New("only Linux has network namespaces") }
