package preset

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"keypaird/hooks"
	"keypaird/hooks/command"
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
	limited, cancel := context.WithTimeout(ctx, maxAsking)
	defer cancel()
	_, status, _ := command.Output(limited, isRunning(name))
	return status == 1 // none matches
}

// isRunning returns the command that ends with 0 if a process called name runs.
func isRunning(name string) []string { return []string{"pgrep", "-x", name} }

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

// Questions returns the commands that this package runs for a deployment.
func Questions(preset string, d *hooks.Deployment) [][]string {
	r := find(preset)
	if r == nil {
		return nil
	}
	list := r.effective.questions(d)
	if name := r.process.on(runtime.GOOS); name != "" {
		list = append(list, isRunning(name))
	}
	return list
}
