// Package daemon runs an engine for years: passes, reloads, the status server, the
// service manager.
package daemon
