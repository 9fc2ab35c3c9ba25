// Package deployer defines the interface through which package renew deploys pairs to
// servers.
package deployer
