package launch

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"keypaird/renew/launch/syscalls"
)

// filtered reports whether this kernel can filter system calls. Tests have older kernels.
var filtered = syscalls.Supported

// filter has the kernel refuse all other system calls (EPERM) to this thread and to what
// it executes.
func (s *stage) filter() error {
	if !filtered() {
		return nil // Missing says so
	}
	// execve is needed once, for the program itself. Landlock knows which file that is.
	calls := []string{"execve"}
	if s.Client || s.Server {
		calls = append(calls, syscalls.Net)
	}
	if s.Client {
		calls = append(calls, syscalls.Client)
	}
	if s.Server {
		calls = append(calls, syscalls.Server)
	}
	conditions := syscalls.Limited()
	if s.Server && !s.Client {
		conditions = append(conditions, syscalls.ServerOptions()...)
	}
	if s.Client {
		conditions = append(conditions, syscalls.Internet()...)
	}
	return syscalls.Load(false, calls, conditions)
}

// Means returns the names of the mechanisms that confine a child, "" if by nothing but its
// user and limits.
func Means() string { return findMeans() }

// Missing lists the restrictions that this kernel does not enforce.
func Missing() []string { return slices.Clone(findMissing()) }

// A process that has confined itself cannot ask any more.
var (
	findMeans   = sync.OnceValue(askMeans)
	findMissing = sync.OnceValue(askMissing)
)

func askMeans() string {
	var list []string
	if abi, err := landlockVersion(); err == nil {
		list = append(list, fmt.Sprintf("Landlock, version %d", abi))
	}
	if filtered() {
		list = append(list, "seccomp")
	}
	return strings.Join(list, ", ")
}

func askMissing() (list []string) {
	switch abi, err := landlockVersion(); {
	case syscalls.Threads() != nil:
		list = append(list, "there is no Landlock without /proc: a child may use every file that its user may")
	case err != nil:
		list = append(list, "the kernel has no Landlock: a child may use every file that its user may")
	case abi < 3:
		list = append(list, fmt.Sprintf("Landlock has version %d only, not 3: a child may truncate files that its user may write", abi))
	}
	if !filtered() {
		list = append(list, "there is no seccomp filter for "+runtime.GOARCH+" in this program or kernel: a child may make every system call")
	} else if runtime.GOARCH == "386" {
		list = append(list, "the seccomp filter for 386 allows all sockets: a child may listen on ports and connect to unix sockets")
	}
	return list
}
