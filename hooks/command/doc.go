// Package command runs the commands of the configuration: the hooks of deployments, and the
// [notify] command.
//
// A [Command] is a program with its arguments; no shell is involved. The variables of its
// environment describe the [Event]. [Find] says whether it can be run, and refuses a
// program that other users can replace.
//
// [Command.Run] has package renew/process start the program: in keypaird, the process that
// cmd/keypaird/runner describes. The package does not know deployments or certificates.
package command
