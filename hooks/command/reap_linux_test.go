package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { adopt = adoptOrphans }

// adoptOrphans is a process that gets the orphans, as process 1 of a container does. It runs
// commands that leave processes behind, and says what is left of them, and whether
// each command still had its own exit status.
func adoptOrphans(dir string) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var reaping, running sync.WaitGroup
	reaping.Go(func() { ReapOrphans(ctx) })
	for i := range 8 {
		running.Go(func() {
			for range 10 {
				c := Command{Argv: []string{filepath.Join(dir, "hook"), fmt.Sprint(i)}}
				e, ok := errors.AsType[*Error](c.Run(ctx, Event{}))
				if !ok || e.Err.Error() != fmt.Sprintf("exit status %d", i+1) {
					fmt.Printf("command %d: %v\n", i, e)
				}
			}
		})
	}
	for _, attr := range []*syscall.SysProcAttr{{Setpgid: true}, {}} {
		c := exec.Command("/bin/sh", "-c", "exit 7")
		c.SysProcAttr = attr
		if err := c.Start(); err != nil {
			fmt.Println(err)
		}
		time.Sleep(300 * time.Millisecond) // it has ended, and is waited for late
		if err := c.Wait(); c.ProcessState == nil || c.ProcessState.ExitCode() != 7 {
			fmt.Println("waited for late:", err)
		}
	}
	running.Wait()
	left := "?"
	for end := time.Now().Add(time.Minute); left != "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		out, _ := exec.Command("ps", "-o", "stat=,args=", "--ppid", fmt.Sprint(os.Getpid())).Output()
		left = ""
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "Z") {
				left += line
			}
		}
	}
	cancel()
	reaping.Wait()
	fmt.Print(left)
	exit(0)
}

// What commands leave behind is waited for where nobody else does it, and each
// command keeps its exit status.
func TestReapOrphans(t *testing.T) {
	path := script(t, "true & (sleep 0.05 &) ; setsid sh -c 'sleep 0.02 &' & setsid -f true; exit $(($1 + 1))")
	out, err := exec.Command(self(t), "adopt", filepath.Dir(path)).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v, left over or wrong:\n%s", err, out)
	}
}
