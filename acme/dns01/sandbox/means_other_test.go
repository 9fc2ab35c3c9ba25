//go:build !linux && !openbsd

package sandbox

import "testing"

func means() string { return "" }

func closed(*testing.T) {}
