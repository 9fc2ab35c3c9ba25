//go:build !linux

package launch

func notDumpable() error { return nil }
