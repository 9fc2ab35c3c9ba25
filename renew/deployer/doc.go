// Package deployer is what package renew asks of the servers that use its pairs.
package deployer
