// Package command runs the commands of the configuration: those of deployments, and
// the one that notifies people.
//
// A [Command] is a program with its arguments; no shell is involved. It learns from its
// environment, an [Event], what has happened. [Find] says whether it can be run, and
// refuses a program that other users can replace.
//
// [Command.Run] has package renew/process start the program: in keypaird, the process that
// cmd/keypaird/runner describes. The package does not know deployments or certificates.
package command
