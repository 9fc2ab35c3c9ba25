// Package testca is a CA for tests: a root, an intermediate, and any leaf that a
// test needs, expired ones included.
package testca
