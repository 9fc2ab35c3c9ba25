//go:build race

package testutil

// Race reports whether the race detector runs, which makes what computes for long take
// five times as long.
const Race = true
