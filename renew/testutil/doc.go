// Package testutil holds what the tests of several packages need:
// a directory in memory and a check for goroutines that outlive the tests. Only
// tests import it, and it imports no package of ours.
package testutil
