// Package hooks deploys new pairs to the servers that use them, and rolls back a
// deployment that fails.
//
// A [Deployment] describes one server; package preset has some ready.
// [Deployment.Deploy] deploys the pairs of any number of targets together:
//
//	write files -> check -> reload -> verify
//
// If a step fails, it restores the previous pairs. It keeps no state: the next
// deployment completes one that was interrupted or killed at any point. Package
// command runs the programs.
//
// A Deployment is a [renew.Deployer]. The package does not know ACME, the store or
// the configuration.
package hooks
