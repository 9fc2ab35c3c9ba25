package runner

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew/launch"
	"keypaird/renew/process"
	"keypaird/renew/rights"
)

// The commands of keypaird that are for its own use.
const (
	Name   = "runner" // serves the process that has started it
	Engine = "engine" // the daemon, started by its runner
)

// variableName is the variable with the descriptor of the connection between the two.
const variableName = "KEYPAIRD_RUNNER"

// startRunner starts the runner of this process. path is the file of the configuration, "" for
// the default.
func startRunner(path string) error {
	conn, end, err := process.Pair()
	if err != nil {
		return err
	}
	if err := start(path, end); err != nil {
		conn.Close()
		return err
	}
	process.Use(conn)
	return nil
}

// Confine has this process start its runner, and give up the rights that the configuration
// does not need, before it uses the network or starts a program. path is the file of the
// configuration, as for Start; more are directories that it writes to as well.
func Confine(path string, cfg *config.Config, log *slog.Logger, more ...string) {
	rights.Keep(func() error {
		if err := startRunner(path); err != nil {
			return err
		}
		engine.GiveUp(cfg, log, more...)
		return nil
	})
}

func start(path string, end *os.File) error {
	defer end.Close()
	cmd, err := again(Name)
	if err != nil {
		return err
	}
	cmd.Env = environ(variableName + "=3")
	if path != "" {
		cmd.Env = append(cmd.Env, config.PathVariable+"="+path)
	}
	cmd.ExtraFiles = []*os.File{end}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for its caller, who ends what runs
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the process that starts programs: %w", err)
	}
	return cmd.Process.Release()
}

// again returns the command that runs this program with other arguments.
func again(args ...string) (*exec.Cmd, error) {
	cmd, err := launch.Self()
	if err == nil {
		cmd.Args = append([]string{os.Args[0]}, args...)
	}
	return cmd, err
}

// Serve runs the runner of the process that has started this one. It returns when that has
// ended, and all programs have.
func Serve(load func() (*config.Config, error)) error {
	conn, err := passed()
	if err != nil {
		return err
	}
	// The caller decides when it ends. What it starts must not ignore these signals.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGPIPE)
	s := process.Server{Make: (&allowed{load: load}).make}
	s.Serve(conn)
	return nil
}

// Connect makes the runner that has started this process start its programs.
func Connect() (*process.Runner, error) {
	conn, err := passed()
	if err != nil {
		return nil, err
	}
	process.Use(conn)
	go func() {
		conn.Closed()
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // without a runner nothing can be deployed, and another may begin
	}()
	return conn, nil
}

// passed returns the connection that was passed to this process.
func passed() (*process.Runner, error) {
	fd, err := strconv.ParseUint(os.Getenv(variableName), 10, 16)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("this command is for keypaird's own use")
	}
	os.Unsetenv(variableName)
	syscall.CloseOnExec(int(fd))
	_ = os.WriteFile("/proc/self/comm", []byte("keypaird"), 0) // it would be exe
	return process.Open(uintptr(fd))
}

// Inherit gives this process what its runner has for it, before anything else looks.
func Inherit() {
	if os.Getenv(variableName) != "" && os.Getenv("LISTEN_FDS") != "" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
}
