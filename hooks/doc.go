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
// haproxy is sent keys over its stats socket. The kernel says who listens there, and keys
// go to root, to our own user and to users who can read the deployed file anyway, as
// haproxy's can where it does not start as root, in a container for example. To any
// other nothing is sent: the directory of the socket may be one that others can write.
//
// A Deployment is a [renew.Deployer]. The package does not know ACME, the store or
// the configuration.
package hooks
