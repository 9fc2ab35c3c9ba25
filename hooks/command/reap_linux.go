package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReapOrphans waits, until ctx ends, for the processes that commands left behind and
// that have ended, if this process is the one that gets them: process 1 of a container,
// or a subreaper (prctl(2)). Otherwise it returns at once.
//
// It takes no exit status from those who wait for a child: our children lead a process
// group in our session, or are in our own group. Any other child was adopted. A
// process that an interactive shell put into a group of its own looks like ours, and
// stays.
func ReapOrphans(ctx context.Context) {
	if os.Getpid() != 1 && !subreaper() {
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	for {
		for _, pid := range endedOrphans() {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
	}
}

// subreaper reports whether this process adopts the orphans among its descendants.
func subreaper() bool {
	var set int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&set)), 0, 0, 0)
	return err == nil && set != 0
}

// endedOrphans lists the children of this process that have ended and that it did not
// start.
func endedOrphans() []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	ours := entry{parent: os.Getpid(), group: unix.Getpgrp()}
	ours.session, _ = unix.Getsid(0)
	var orphans []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p, ok := stat(pid)
		started := p.session == ours.session && (p.group == pid || p.group == ours.group)
		if ok && p.state == 'Z' && p.parent == ours.parent && !started {
			orphans = append(orphans, pid)
		}
	}
	return orphans
}

// An entry describes a process, from proc_pid_stat(5).
type entry struct {
	state                  rune
	parent, group, session int
}

func stat(pid int) (p entry, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	rest := data[bytes.LastIndexByte(data, ')')+1:] // the name before it may hold anything
	n, _ := fmt.Sscanf(string(rest), " %c %d %d %d", &p.state, &p.parent, &p.group, &p.session)
	return p, n == 4
}
