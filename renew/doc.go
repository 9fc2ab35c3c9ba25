// Package renew decides which certificates need work and carries each one
// through the same short line of steps:
//
//	load -> decide -> obtain -> store -> install -> reload -> verify -> record
//
// Where several machines share a certificate, a [Sharing] takes it from the others after
// loading, and publishes what was stored.
//
// [Decide] is a pure function of a [Target] and its [State]; a [Pass] processes
// targets once and does what was decided; package loop runs passes for years. The
// package speaks neither ACME nor DNS, and knows no proxies. A Target holds what
// does, as small interfaces: an [Issuer] (often a [RenewalInfoFetcher] too) and a
// [Resolver], which cmd/keypaird/engine implements, and a [Deployer], which package
// hooks does. Of the configuration it knows only the words that a remedy names.
package renew
