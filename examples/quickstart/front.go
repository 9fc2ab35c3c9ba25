package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"keypaird/acme/acmetest"
)

// front runs the proxy's process: it serves the pairs in dir, prints its address,
// reloads the pairs on SIGHUP, and ends when its input does.
func front(dir string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	f, err := acmetest.StartFront("", dir)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer f.Close()
	end := make(chan struct{})
	go func() {
		io.Copy(io.Discard, stdin)
		close(end)
	}()
	fmt.Fprintln(stdout, f.Addr)
	for {
		select {
		case <-end:
			return 0
		case <-hup:
			if err := f.Reload(); err != nil {
				fmt.Fprintln(stderr, "proxy: not reloaded:", err)
			}
		}
	}
}

// A proxy is the front as its parent sees it.
type proxy struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.Closer
}

// startProxy runs this program as the front of dir.
func startProxy(ctx context.Context, dir string) (*proxy, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "front", dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &proxy{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the proxy did not start: %w", err), p.Close())
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// reload returns the command that makes the proxy reload the pairs.
func (p *proxy) reload() []string {
	pid := fmt.Sprint(p.cmd.Process.Pid)
	for _, kill := range []string{"/bin/kill", "/usr/bin/kill"} {
		if path, err := exec.LookPath(kill); err == nil {
			return []string{path, "-HUP", pid}
		}
	}
	return []string{"/bin/sh", "-c", "kill -HUP " + pid} // the shell's built-in
}

// Close ends the proxy.
func (p *proxy) Close() error {
	p.stdin.Close()
	return p.cmd.Wait()
}
