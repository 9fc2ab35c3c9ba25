//go:build !race

package testutil

// Race reports whether the race detector runs.
const Race = false
