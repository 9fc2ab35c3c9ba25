// Package memory is an engine in memory, for tests: a [Server] with a [Client] for each
// node, and faults of both. It runs under testing/synctest, and starts no goroutine that
// outlives a call.
package memory
