//go:build !linux

package sandbox

func notDumpable() error { return nil }
