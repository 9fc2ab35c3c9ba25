// Package keypair holds private keys with their certificate chains, and keeps
// them on disk so that at every instant one whole, matching pair is live.
//
// In order of use: lock the state directory with durable.AcquireLock, [Open] the
// store, [Store.Tidy] a name before working on it, [Parse] what a CA sent,
// [Pair.Check] it against what was wanted, [Store.Add] it, [Store.SetLive] it,
// [Store.Prune] what is too old, [Store.Repair] what was damaged. Reading needs no lock.
//
// The package knows nothing of ACME, configuration or proxies. How files are
// written is in renew/durable.
package keypair
