// Package enginetest is the conformance test of engines: the tests of each engine call
// [Run].
package enginetest
