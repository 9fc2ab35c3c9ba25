//go:build !linux

package names

func inside() {}
