// Package renew decides which certificates need work and carries each one
// through the same short line of steps:
//
//	load -> decide -> obtain -> store -> install -> reload -> verify -> record
//
// [Decide] is a pure function of a [Target] and its [State]; a [Pass] processes
// targets once and does what was decided; package loop runs passes for years. The
// package speaks neither ACME nor DNS, and knows no proxies: it calls them through
// the small interfaces [Obtainer], [Limiter], [RenewalInfoFetcher], [Resolver] and
// [Deployer], which cmd/keypaird implements from the configuration. It knows only
// the words of the configuration that a remedy has to name.
package renew
