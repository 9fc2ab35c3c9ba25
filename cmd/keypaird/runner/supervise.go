package runner

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/command"
	"keypaird/renew/process"
)

// Again is the exit status of an engine that is to be started anew.
const Again = 75

// A Daemon configures a runner that starts the daemon, the command engine.
type Daemon struct {
	Args    []string // of keypaird, for the engine
	Sockets []*os.File
	Load    func() (*config.Config, error)
	Notify  func(text string) error // the service manager
}

// forwarded are the signals that an engine gets from its runner, beside SIGTERM.
var forwarded = []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGQUIT}

// shortest is how long an engine lives at least before the next one is started.
const shortest = time.Second

// Supervise runs engines, one after another, until one has ended for good, and returns its
// exit status. If that was killed by a signal, so is this process. When ctx ends, the
// engine is stopped by SIGTERM.
func (d *Daemon) Supervise(ctx context.Context) (status int, err error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // what is started must not ignore it
	go command.ReapOrphans(context.Background())
	a := allowed{load: d.Load}
	go a.refresh() // a file server may hang
	for {
		began := time.Now()
		end, err := d.runEngine(ctx, &a, signals)
		switch {
		case err != nil:
			return 0, err
		case end.Signaled():
			return endBy(end.Signal()), nil
		case end.ExitStatus() != Again:
			return end.ExitStatus(), nil
		case ctx.Err() != nil:
			return 0, nil
		}
		time.Sleep(shortest - time.Since(began))
	}
}

// notices are what an engine may send to the service manager, about itself. It may not name
// another process as the service's, for one.
var notices = []string{"READY", "RELOADING", "MONOTONIC_USEC", "STOPPING", "STATUS", "WATCHDOG"}

// notify sends those assignments of a text that an engine may send.
func (d *Daemon) notify(text string) error {
	var may strings.Builder
	for line := range strings.Lines(text) {
		if name, value, _ := strings.Cut(line, "="); slices.Contains(notices, name) && (name != "WATCHDOG" || strings.TrimSpace(value) == "1") {
			may.WriteString(line)
		}
	}
	return d.Notify(may.String())
}

// runEngine runs one engine and starts programs for it.
func (d *Daemon) runEngine(ctx context.Context, a *allowed, signals <-chan os.Signal) (syscall.WaitStatus, error) {
	conn, end, err := process.Pair()
	if err != nil {
		return 0, err
	}
	defer end.Close()
	cmd, err := again(d.Args...)
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = append(slices.Clone(d.Sockets), end)
	cmd.Env = environ(variableName + "=" + strconv.Itoa(3+len(d.Sockets)))
	if n := len(d.Sockets); n > 0 {
		var names []string
		for _, s := range d.Sockets {
			names = append(names, s.Name())
		}
		cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting the engine: %w", err)
	}
	end.Close() // its end is seen by that
	ready, exited := make(chan struct{}), make(chan struct{})
	s := process.Server{Make: a.make, Notify: d.notify, Ready: sync.OnceFunc(func() { close(ready) })}
	go s.Serve(conn)
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	forward(ctx, signals, func(s os.Signal) {
		if s == syscall.SIGHUP {
			go a.refresh()
		}
		_ = cmd.Process.Signal(s)
	}, ready, exited)
	return cmd.ProcessState.Sys().(syscall.WaitStatus), nil
}

// forward sends signals to an engine, once that handles them, until it has exited.
func forward(ctx context.Context, signals <-chan os.Signal, send func(os.Signal), ready, exited <-chan struct{}) {
	var waiting []os.Signal
	stop := ctx.Done()
	for {
		select {
		case s := <-signals:
			waiting = append(waiting, s)
		case <-stop:
			waiting, stop = append(waiting, syscall.SIGTERM), nil
		case <-ready:
			ready = nil
		case <-exited:
			return
		}
		for ready == nil && len(waiting) > 0 {
			send(waiting[0])
			waiting = waiting[1:]
		}
	}
}

// endBy ends this process by a signal, or returns the exit status that stands for it.
func endBy(sig syscall.Signal) int {
	signal.Reset(sig)
	_ = syscall.Kill(os.Getpid(), sig)
	time.Sleep(100 * time.Millisecond) // process 1 of a container gets none
	return 128 + int(sig)
}
