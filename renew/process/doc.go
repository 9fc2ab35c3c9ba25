// Package process starts programs, either from this process or through the runner: a
// process that was started before any network use and knows which programs may run. A
// process that has given up execve(2) and fork(2) can start programs in no other way.
//
// [Use] chooses the runner, once, at the start of a program. Without it, as in tests and
// tools, a [Cmd] starts its program itself. The runner is [Serve].
//
// They share a pair of unix sockets. For each program the caller passes one byte with
// descriptors: a socket for this program alone, on which a [Request] in JSON, signals and
// the exit status travel, and then those that the program gets as 0, 1, 2 and so on. When
// the caller ends, its programs go on, and the runner ends with the last of them.
package process
