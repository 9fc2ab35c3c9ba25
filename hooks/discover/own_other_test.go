//go:build !linux

package discover

import (
	"errors"
	"os/exec"
)

func ownNetwork(*exec.Cmd) {}
func mortal(*exec.Cmd)     {}
func whyNotOwn() string    { return "a network of its own is had on Linux only" }
func furnish() error       { return errors.New("Linux only") }
