//go:build !linux

package main

import (
	"errors"
	"os/exec"
)

var errOwn = errors.New("Linux only")

func ownNamespaces(*exec.Cmd) {}

func whyNotOwn() string { return "a network and mounts of its own are had on Linux only" }

func setupNamespaces() error              { return errOwn }
func mountSmall(dir, size string) error   { return errOwn }
func mountReadOnly(dir string) error      { return errOwn }
func mountCopy(dir, scratch string) error { return errOwn }
func unmount(dir string) error            { return errOwn }

func watchedFleet() int { return 1 }
