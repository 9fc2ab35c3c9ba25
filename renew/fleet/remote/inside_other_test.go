//go:build !linux

package remote

func inside() {}
