package keypair

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
	"testing"
	"time"
)

// helpLock takes the lock, says so, and holds it until its input ends.
func helpLock(args []string) error {
	lock, err := tryAcquire(args[0])
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

// tryAcquire takes the lock or fails at once.
func tryAcquire(path string) (*Lock, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return AcquireLock(ctx, path, func(string) { cancel() })
}

// hold has another process hold the lock; end ends that process.
func hold(t *testing.T, path string) (pid int, end func(kill bool)) {
	t.Helper()
	cmd := exec.Command(os.Args[0], path, "no release")
	cmd.Env = helperEnviron("lock")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
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
	lock, err := tryAcquire(path)
	must(t, err)
	if _, err := tryAcquire(path); err == nil {
		t.Fatal("locked twice")
	}
	must(t, lock.Release())
	lock, err = tryAcquire(path)
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
		if d := time.Since(start); d > 2*time.Second {
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
			lock, err := tryAcquire(path)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), path+": "+tt.want) {
					t.Errorf("AcquireLock: %v, want %q", err, tt.want)
				}
				return
			}
			must(t, err)
			damage(t, path, []byte("\x1b[2Jhello\nworld"))
			_, err = tryAcquire(path)
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
	cmd := exec.Command(findStrace(t), "-f", "-o", os.DevNull, "-e", "inject=flock:delay_enter=1000000:when=1", os.Args[0], path)
	cmd.Env = helperEnviron("lock")
	var out strings.Builder
	cmd.Stdout = &out
	must(t, cmd.Start())
	for end := time.Now().Add(10 * time.Second); os.Remove(path) != nil; runtime.Gosched() { // until it has opened the file
		if time.Now().After(end) {
			t.Fatal("the other process did not open the lock")
		}
	}
	lock, err := tryAcquire(path)
	must(t, err)
	if err := cmd.Wait(); err == nil || out.String() != "" {
		t.Errorf("it said %q, %v: both of us hold the lock", out.String(), err)
	}
	must(t, lock.Release())
}
