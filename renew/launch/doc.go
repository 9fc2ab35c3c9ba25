// Package launch starts the programs that talk to hosts on the network, and confines each
// of them before its first instruction, so that not even the initialization of a package
// that is linked into it runs unconfined:
//
//	cmd, err := launch.Command(ctx, launch.Child{Path: "/usr/libexec/keypaird-dns", Env: env, User: "_keypaird-dns", Client: true})
//
// Command runs this program again, as a stage between: the stage gives up rights and
// executes the program in its own place, so the process is a child of ours. On Linux
// the stage has another user and no groups (if we are root), no capabilities, no
// descriptors but the first three and no core dumps, and sets no_new_privs, Landlock and
// a seccomp filter that allows only the system calls of a client of network servers. A
// kernel that lacks one of them enforces the rest: see [Missing]. On other systems the
// stage changes the user, limits and descriptors, and the program must confine itself
// by [Process]: unveil(2) does not outlive execve(2).
//
// The stage reads from a pipe what to do. Files that the child's user cannot open are
// handed over by [Hand].
//
// The program needs no code for this on Linux, and may be linked dynamically.
package launch
