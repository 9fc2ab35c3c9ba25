package preset

import (
	"context"
	"errors"
	"keypaird/hooks/command"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Stopped reports whether the server of a preset, one that does not start without its
// files, does not run. Where that cannot be seen, it runs.
func Stopped(ctx context.Context, preset string) bool {
	r := find(preset)
	if r == nil || r.process.on(runtime.GOOS) == "" {
		return false
	}
	name := r.process.on(runtime.GOOS)
	if runtime.GOOS == "linux" {
		return seesProcesses() && !runs(name)
	}
	program := command.SearchPath("pgrep")
	if program == "" {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, maxAsking)
	defer cancel()
	exit, ok := errors.AsType[*exec.ExitError](exec.CommandContext(limited, program, "-x", name).Run())
	return ok && exit.ExitCode() == 1 // none matches
}

// seesProcesses reports whether the processes of others are visible: systemd's
// ProtectProc hides them.
func seesProcesses() bool {
	_, err := os.Stat("/proc/1/stat")
	return err == nil
}

// runs reports whether a process called name runs. One that has ended, and that nobody
// has waited for, as in many containers, does not.
func runs(name string) bool {
	list, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range list {
		data, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(data), " (")
		end := strings.LastIndex(rest, ") ")
		if end >= 0 && rest[:end] == name && !strings.HasPrefix(rest[end+2:], "Z") {
			return true
		}
	}
	return false
}
