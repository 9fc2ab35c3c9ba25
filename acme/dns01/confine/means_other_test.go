//go:build !linux && !openbsd

package confine

import "testing"

func means() string { return "" }

func closed(*testing.T) {}
