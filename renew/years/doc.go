// Package years has no code but a test: two simulated years of a daemon, with
// short and long certificates, CAs and proxies that fail, a machine that sleeps
// and clocks that are set; and two more, with a real deployment of files that somebody
// overwrites, endpoints that come and go, and backups that are restored. They take
// longer than all other tests of package renew.
package years
