//go:build !linux

package confine

func notDumpable() error { return nil }
