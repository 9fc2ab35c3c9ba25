//go:build !linux

package listener

func attack([]string) error { return nil }
