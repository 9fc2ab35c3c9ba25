// Package runner is the process that starts all other programs: the commands of the
// configuration, and the children. The process that holds keys starts none.
//
// A command such as issue starts its runner first of all, by [Confine]. The daemon is
// started by its runner, in [Supervise]: it may have to be started anew, as it gives up
// rights for good.
//
// The runner reads the configuration itself and runs nothing that is not in it.
package runner
