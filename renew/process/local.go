package process

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// local is a process that this process has started.
type local struct {
	cmd    *exec.Cmd
	group  bool
	strays bool // SIGKILL reaches its descendants outside of its group
}

// startLocal starts cmd with files as its descriptors, before those that it has.
func startLocal(cmd *exec.Cmd, files []*os.File, group, strays bool) (*local, error) {
	defer closeAll(cmd.ExtraFiles) // the launcher's own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	cmd.ExtraFiles = slices.Concat(files[3:], cmd.ExtraFiles)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = group
	if err := cmd.Start(); err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err // "fork/exec PATH:" says the program again
		}
		return nil, err
	}
	return &local{cmd, group, strays}, nil
}

func (l *local) pid() int { return l.cmd.Process.Pid }

func (l *local) wait() (syscall.WaitStatus, error) {
	err := l.cmd.Wait()
	if l.cmd.ProcessState == nil {
		return 0, err
	}
	return l.cmd.ProcessState.Sys().(syscall.WaitStatus), nil
}

func (l *local) signal(sig syscall.Signal) {
	pid := l.pid()
	var strays []int
	if l.strays && sig == syscall.SIGKILL {
		strays = descendants(pid)
	}
	if l.group {
		_ = syscall.Kill(-pid, sig)
	}
	_ = l.cmd.Process.Signal(sig)
	for _, pid := range strays {
		_ = syscall.Kill(pid, sig)
	}
}

// endGroup may be called after the leader was waited for, and with it perhaps the last of
// the group. Its number is free then, but is not reused within the few milliseconds
// between two ticks.
func (l *local) endGroup(grace time.Duration) {
	group := -l.pid()
	_ = syscall.Kill(group, syscall.SIGTERM)
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if syscall.Kill(group, 0) != nil {
				return
			}
		case <-deadline.C:
			_ = syscall.Kill(group, syscall.SIGKILL)
			return
		}
	}
}
