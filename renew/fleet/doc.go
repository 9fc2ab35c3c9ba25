// Package fleet shares certificates between the machines of a fleet, which meet in an
// engine. One node at a time sits in the seat and orders; it publishes releases, and all
// nodes take pairs from them.
//
//	f := New(options)
//	go f.Run(ctx)                     alive, seat, view, waves, report
//	f.Release(target)                 what the engine has now; Compare says what to do
//	f.Pair(ctx, target)               on a node that takes it
//	t, err := f.Term()                on the node in the seat
//	t.Good(), t.Commit(ctx, ops...)   before each request to a CA
//	f.Publish(ctx, t, publication)    the end of an order
//	f.Report(target, serial, err)     what this node serves of a release
//
// Three rules keep a certificate from being ordered twice. Every write of the node in the
// seat is a commit on the condition that the seat still has its value (the fence). What
// an order needs to be resumed is written before the CA is asked. If the answer to a commit
// was lost, the seat's value is exchanged, so that the commit cannot happen any later, and
// then the engine is asked what it has (see Term.Commit).
//
// Every node has a complete state of its own. The engine may be away, emptied or restored
// from a backup: nodes keep what they have, serials never go down, and the node in
// the seat writes back what the engine lost.
//
// The package knows nothing of CAs, DNS, deployments or files of the state directory.
package fleet
