//go:build !linux

package discover

import (
	"os/exec"
)

func ownNetwork(*exec.Cmd) {}
func mortal(*exec.Cmd)     {}
func whyNotOwn() string    { return "a network of its own is had on Linux only" }
