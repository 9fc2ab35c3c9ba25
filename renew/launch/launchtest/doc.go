// Package launchtest tries, in a child that others have taken over, what none must be
// able to do: a test starts a child that returns [Report] as its answer.
package launchtest
