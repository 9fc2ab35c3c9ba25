// Package daemon is "keypaird run": it makes pass after pass over the targets of a
// configuration, reloads the configuration, serves the status page and reports to
// the service manager.
//
//	daemon.go -> renew/loop -> pass.go: lock, one pass, summary
//	reload.go: load on SIGHUP, apply between two passes
package daemon
