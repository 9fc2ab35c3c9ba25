package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Who holds a lock is known without taking it, and so is whether it was killed.
func TestReadHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon")
	if h, err := ReadHolder(path); !errors.Is(err, fs.ErrNotExist) || h != (Holder{}) {
		t.Errorf("before all: %+v, %v", h, err)
	}
	pid, end := hold(t, path)
	h, err := ReadHolder(path)
	if err != nil || h.Process != pid || !h.Lives || h.Since.IsZero() {
		t.Errorf("held by process %d: %+v, %v", pid, h, err)
	}
	end(true)
	if h, err = ReadHolder(path); err != nil || h.Process != pid || h.Lives {
		t.Errorf("process %d was killed: %+v, %v", pid, h, err)
	}
	lock, err := TryLock(path)
	must(t, err)
	if h, err = ReadHolder(path); err != nil || h.Process != os.Getpid() || !h.Lives {
		t.Errorf("held by us: %+v, %v", h, err)
	}
	must(t, lock.Release())
	if h, err = ReadHolder(path); err != nil || h != (Holder{}) {
		t.Errorf("given back: %+v, %v", h, err)
	}
	since := time.Date(2026, 11, 23, 20, 17, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, text string
		want       Holder
	}{
		{"another program's file", "hello\nworld", Holder{}},
		{"a process that cannot be", "process -1 since 2026-11-23T20:17:00Z\n", Holder{}},
		{"our own group", "process 0 since 2026-11-23T20:17:00Z\n", Holder{}},
		{"no time", "process 12 since yesterday\n", Holder{}},
		{"half written", "process 12 si", Holder{}},
		{"no process has such a number", "process 2000000000 since 2026-11-23T20:17:00Z\n", Holder{2000000000, since, false}},
	} {
		damage(t, path, []byte(tt.text))
		if h, err := ReadHolder(path); err != nil || h != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, h, err, tt.want)
		}
	}
}

// A number that another process has by now is not the holder's.
func TestHolderNumberTaken(t *testing.T) {
	if _, err := os.ReadDir("/proc/self/fd"); err != nil {
		t.Skip("this system does not show what a process has open")
	}
	path := filepath.Join(t.TempDir(), "daemon")
	must(t, os.WriteFile(path, []byte("process 1 since 2026-11-23T20:17:00Z\n"), 0o600))
	pid, end := hold(t, filepath.Join(t.TempDir(), "other"))
	defer end(true)
	info, err := os.Stat(path)
	must(t, err)
	if lives(pid, info) {
		t.Error("a process that has another file open is taken for the holder")
	}
}
