// Package rights has a process give up rights at the last moment: before it first opens a
// socket, starts a program or changes a deployed file. A process that does none of that,
// such as a pass with nothing to do, saves that time.
//
// Package sockets, renew/process and hooks call [Drop] and continue when it returns.
package rights
