// Package launchtest tries the operations that no child may be able to do once an attacker
// has taken it over: a test starts a child that returns [Report] as its answer.
package launchtest
