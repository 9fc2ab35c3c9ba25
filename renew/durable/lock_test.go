package durable

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/testutil"
)

// helpLock takes the lock, says so, and holds it until its input ends. With the
// word "wait" it waits for the lock as a command does, and says that.
func helpLock(args []string) error {
	if len(args) > 1 && args[1] == "wait" {
		_, err := AcquireLock(context.Background(), args[0], func(string) { fmt.Println("waiting") })
		return err
	}
	lock, err := TryLock(args[0])
	if err != nil {
		return err
	}
	fmt.Println("locked")
	bufio.NewReader(os.Stdin).ReadByte()
	if len(args) > 1 {
		return nil // without Release
	}
	return lock.Release()
}

// hold has another process hold the lock; end ends that process.
func hold(t *testing.T, path string) (pid int, end func(kill bool)) {
	t.Helper()
	return other(t, "locked\n", path, "no release")
}

// other has another process say a word; end ends it.
func other(t *testing.T, word string, args ...string) (pid int, end func(kill bool)) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = helperEnviron("lock")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != word {
		t.Fatalf("holder says %q, %v", line, err)
	}
	return cmd.Process.Pid, func(kill bool) {
		if kill {
			cmd.Process.Kill()
		}
		in.Close()
		cmd.Wait()
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := TryLock(path)
	must(t, err)
	if _, err := TryLock(path); err == nil {
		t.Fatal("locked twice")
	}
	must(t, lock.Release())
	lock, err = TryLock(path)
	must(t, err)
	must(t, lock.Release())
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 || info.Size() != 0 {
		t.Errorf("lock file afterwards: %v, %v", info, err)
	}
}

func TestLockOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for _, kill := range []bool{false, true} {
		pid, end := hold(t, path)
		var heard []string
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(4*poll, cancel)
		start := time.Now()
		_, err := AcquireLock(ctx, path, func(h string) { heard = append(heard, h) })
		var held *HeldError
		if !errors.As(err, &held) || !errors.Is(err, context.Canceled) || held.Remedy() == "" {
			t.Fatalf("AcquireLock: %v, want a HeldError", err)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("giving up took %v", d)
		}
		who := fmt.Sprintf(`^process %d since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, pid)
		if len(heard) != 1 || !regexp.MustCompile(who).MatchString(heard[0]) || held.Holder != heard[0] {
			t.Errorf("heard %q, want once %s", heard, who)
		}
		// One who waits gets it when the other process ends, however it ends.
		lock, err := AcquireLock(t.Context(), path, func(string) { end(kill) })
		must(t, err)
		must(t, lock.Release())
	}
}

func TestLockPlanted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plant func(path string) error
		want  string
	}{
		{"a link", func(p string) error { return os.Symlink("victim", p) }, "is a symbolic link: remove it"},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o700) }, "is a directory"},
		{"left by another program", func(p string) error { return os.WriteFile(p, []byte("\x1b[2Jhello\nworld"), 0o600) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "lock")
			must(t, tt.plant(path))
			lock, err := TryLock(path)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), path+": "+tt.want) {
					t.Errorf("AcquireLock: %v, want %q", err, tt.want)
				}
				return
			}
			must(t, err)
			damage(t, path, []byte("\x1b[2Jhello\nworld"))
			_, err = TryLock(path)
			var held *HeldError
			if !errors.As(err, &held) || held.Holder != "[2Jhello" {
				t.Errorf("AcquireLock: %q, want the holder without control characters", err)
			}
			must(t, lock.Release())
		})
	}
}

// TestLockRemoved removes the file of a lock. A process that opened it before
// must not take it for the lock: another one may hold that by now.
func TestLockRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	cmd := exec.Command(testutil.Strace(t), "-f", "-o", os.DevNull, "-e", "inject=flock:delay_enter=1000000:when=1", os.Args[0], path)
	cmd.Env = helperEnviron("lock")
	var out strings.Builder
	cmd.Stdout = &out
	must(t, cmd.Start())
	for end := time.Now().Add(10 * time.Second); os.Remove(path) != nil; runtime.Gosched() { // until it has opened the file
		if time.Now().After(end) {
			t.Fatal("the other process did not open the lock")
		}
	}
	lock, err := TryLock(path)
	must(t, err)
	if err := cmd.Wait(); err == nil || out.String() != "" {
		t.Errorf("it said %q, %v: both of us hold the lock", out.String(), err)
	}
	must(t, lock.Release())
}

var eventually = testutil.Eventually

// A daemon holds the lock. A person's command is heard of, gets the lock when the
// daemon lets go of it, and the daemon stands back until then.
func TestPersonFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	daemon, err := AcquireLast(ctx, path, nil)
	must(t, err)
	if daemon.Wanted() {
		t.Error("wanted by nobody")
	}
	got := make(chan *Lock)
	go func() {
		command, err := AcquireLock(ctx, path, nil)
		if err != nil {
			t.Error(err)
		}
		got <- command
	}()
	eventually(t, "the command is heard of", daemon.Wanted)
	// Nobody holds the lock, and somebody waits for it.
	var place turn
	eventually(t, "there is another place", func() bool { place.take(path); return place.file != nil })
	must(t, daemon.Release())
	command := <-got
	if command == nil {
		t.FailNow()
	}
	must(t, command.Release())
	place.take(path) // it still lives
	short, end := context.WithTimeout(ctx, 3*poll)
	defer end()
	var held *HeldError
	if _, err := AcquireLast(short, path, nil); !errors.As(err, &held) {
		t.Fatalf("AcquireLast while somebody waits: %v, want a HeldError", err)
	}
	place.leave()
	daemon, err = AcquireLast(ctx, path, nil)
	must(t, err)
	if daemon.Wanted() {
		t.Error("still wanted: the command did not give its place up")
	}
	must(t, daemon.Release())
}

// A command that is killed as it waits does not keep the daemon waiting.
func TestPersonDies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	daemon, err := AcquireLast(t.Context(), path, nil)
	must(t, err)
	_, end := other(t, "waiting\n", path, "wait")
	eventually(t, "the command is heard of", daemon.Wanted)
	end(true)
	if daemon.Wanted() {
		t.Error("wanted by the dead")
	}
	must(t, daemon.Release())
}

// A daemon does not make others yield, however long it waits.
func TestDaemonWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := TryLock(path)
	must(t, err)
	waiting, cancel := context.WithCancel(t.Context())
	_, err = AcquireLast(waiting, path, func(holder string) {
		if lock.Wanted() || !strings.Contains(holder, fmt.Sprint("process ", os.Getpid())) {
			t.Errorf("waiting for %q, wanted %v", holder, lock.Wanted())
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("AcquireLast: %v", err)
	}
	var held *HeldError
	if _, err := TryLock(path); !errors.As(err, &held) || !strings.Contains(held.Error(), fmt.Sprint("held by process ", os.Getpid())) {
		t.Errorf("TryLock: %v, want a HeldError", err)
	}
	must(t, lock.Release())
}

// A command that is stopped (Ctrl-Z) as it waits does not keep the daemon waiting,
// and is heard of again when it goes on.
func TestPersonStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	daemon, err := AcquireLast(t.Context(), path, nil)
	must(t, err)
	pid, end := other(t, "waiting\n", path, "wait")
	defer end(true)
	eventually(t, "the command is heard of", daemon.Wanted)
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	long := time.Now().Add(-time.Minute)
	eventually(t, "a command that stands still is not heard of", func() bool {
		must(t, os.Chtimes(turnPath(path), long, long)) // once more if it stops after that
		return !daemon.Wanted()
	})
	must(t, daemon.Release())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	daemon, err = AcquireLast(ctx, path, nil)
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGCONT))
	eventually(t, "the command is heard of when it goes on", daemon.Wanted)
	must(t, daemon.Release())
}
