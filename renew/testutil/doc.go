// Package testutil contains helpers for the tests of several packages, and a check
// for goroutines that outlive the tests. Only tests import it, and it imports no
// package of keypaird.
package testutil
