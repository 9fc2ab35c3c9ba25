// Package enginetest tests whether an engine is what package engine says. [Run] is called
// by the tests of each.
package enginetest
