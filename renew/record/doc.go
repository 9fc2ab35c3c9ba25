// Package record reads and writes record.json, which keeps beside the pairs of a target the
// history of its orders, deployments, failures and notices.
package record
