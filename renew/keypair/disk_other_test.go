//go:build !linux

package keypair

import "errors"

func helpFullDisk([]string) error { return errors.New("only on Linux") }
