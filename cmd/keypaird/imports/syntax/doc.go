// Package syntax parses the kinds of files that other ACME clients keep: assignments of
// the shell, ConfigObj of Python, acme-client.conf(5). Nothing is run.
package syntax
