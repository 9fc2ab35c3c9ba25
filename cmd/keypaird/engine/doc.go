// Package engine turns a [config.Config] into parts that work together: CA
// clients, DNS accounts, the http-01 responder and deployments, bound to each
// target.
package engine
