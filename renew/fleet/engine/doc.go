// Package engine describes where the machines of a fleet meet: a small store of keys
// and values that commits conditionally and atomically, leases keys, and reports what
// changed. Programs for it are the child that speaks etcd, and package memory for tests.
//
// Keys are relative to the prefix of the fleet. What is in the engine is never trusted:
// package envelope signs and seals the values.
package engine
