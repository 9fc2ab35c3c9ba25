package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/cmd/keypaird/cli"
)

// The whole command, beside the
// least there is, a process that does the same in a bare loop, on one machine in
// one run:
//
//	go test -tags lean -run '^$' -bench . ./cmd/keypaird

// BenchmarkIssue is new http-01 certificates: account, orders, sixteen at once,
// store, and the files of a deployment; "stored" is the floor with the same files, which
// is what is left to gain.
func BenchmarkIssue(b *testing.B) {
	b.Run("one", func(b *testing.B) { benchIssue(b, 1) })
	b.Run("fifty", func(b *testing.B) { benchIssue(b, 50) })
	b.Run("fivehundred", func(b *testing.B) { benchIssue(b, 500) })
}

func benchIssue(b *testing.B, targets int) {
	b.Run("floor", func(b *testing.B) {
		g := newBench(b)
		for i := 0; b.Loop(); i++ {
			g.run(b, 0, os.Args[0], append([]string{g.ca.Directory, g.ca.Roots, strconv.Itoa(g.ca.HTTPPort)}, g.names(i, targets)...)...)
		}
		g.reportCPU(b)
	})
	b.Run("stored", func(b *testing.B) {
		g := newBench(b)
		for i := 0; b.Loop(); i++ {
			dir := filepath.Join(g.dir, strconv.Itoa(i))
			g.run(b, 0, os.Args[0], append([]string{"-stored", dir, g.ca.Directory, g.ca.Roots, strconv.Itoa(g.ca.HTTPPort)}, g.names(i, targets)...)...)
		}
		g.reportCPU(b)
	})
	b.Run("keypaird", func(b *testing.B) {
		g := newBench(b)
		for i := 0; b.Loop(); i++ {
			config := g.configure(b, fmt.Sprintf("state%d", i), g.names(i, targets))
			g.run(b, cli.Changed, g.program, "-config", config, "issue")
		}
		g.reportCPU(b)
	})
}

// BenchmarkIdle is an issue that has nothing to do, beside the start and end of
// the process.
func BenchmarkIdle(b *testing.B) {
	g := newBench(b)
	config := g.configure(b, "state", g.names(0, 50))
	g.run(b, cli.Changed, g.program, "-config", config, "issue")
	b.Run("fifty/floor", func(b *testing.B) {
		for b.Loop() {
			g.run(b, 0, g.program, "version")
		}
	})
	b.Run("fifty/keypaird", func(b *testing.B) {
		for b.Loop() {
			g.run(b, cli.Nothing, g.program, "-config", config, "issue")
		}
	})
}

// BenchmarkStatus is the status of a thousand targets.
func BenchmarkStatus(b *testing.B) {
	g := newBench(b)
	config := g.configure(b, "state", g.names(0, 1000))
	g.run(b, cli.Changed, g.program, "-config", config, "issue")
	b.Run("thousand", func(b *testing.B) {
		for b.Loop() {
			g.run(b, 0, g.program, "-config", config, "status")
		}
	})
}

// BenchmarkDue is five hundred certificates that have to be replaced at once, by
// those of another type of key, by the rules of a renewal.
func BenchmarkDue(b *testing.B) {
	g := newBench(b)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		config := g.configure(b, fmt.Sprintf("state%d", i), g.names(i, 500))
		g.run(b, cli.Changed, g.program, "-config", config, "issue")
		text, err := os.ReadFile(config)
		if err == nil {
			err = os.WriteFile(config, append([]byte("key = \"ec384\"\n"), text...), 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		g.run(b, cli.Changed, g.program, "-config", config, "issue")
	}
}

// BenchmarkResident is the memory of a daemon with a hundred targets that has
// looked at them once.
func BenchmarkResident(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("reads /proc, which is Linux's")
	}
	g := newBench(b)
	config := g.configure(b, "state", g.names(0, 100))
	g.run(b, cli.Changed, g.program, "-config", config, "issue")
	total, turns := 0, 0
	for b.Loop() {
		total += g.resident(b, config)
		turns++
	}
	b.ReportMetric(float64(total)/float64(turns)/1e3, "MB")
}

// resident runs the daemon to the end of its first look, and returns how many kB
// of it are in memory by then.
func (g *bench) resident(b *testing.B, config string) int {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), g.program, "-config", config, "run")
	says, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	limit := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	defer limit.Stop()
	var log strings.Builder
	kB := 0
	for lines := bufio.NewScanner(says); lines.Scan(); {
		fmt.Fprintln(&log, lines.Text())
		if strings.Contains(lines.Text(), `msg="pass finished"`) && kB == 0 {
			kB = vmRSS(cmd.Process.Pid) + vmRSS(engineOf(cmd.Process.Pid))
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); err != nil || kB == 0 || !strings.Contains(log.String(), "targets=100 failing=0") {
		b.Fatalf("run: %v, %d kB resident\n%s", err, kB, log.String())
	}
	return kB
}

// engineOf is the number of the engine that a daemon has started; 0 if it is not seen.
func engineOf(daemon int) int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", daemon))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			args, _ := os.ReadFile("/proc/" + word + "/cmdline")
			if pid, err := strconv.Atoi(word); err == nil && bytes.Contains(args, []byte("\x00engine\x00")) {
				return pid
			}
		}
	}
	return 0
}

// vmRSS is what of a process is in memory, in kB; 0 if the system does not say.
func vmRSS(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	kB := 0
	fmt.Sscan(rest, &kB)
	return kB
}

// A bench is a CA, its DNS, and the real program.
type bench struct {
	dir     string
	program string
	ca      *acmetest.CA

	user, system time.Duration // CPU of what ran
}

// reportCPU reports the CPU of what ran.
func (g *bench) reportCPU(b *testing.B) {
	b.ReportMetric(g.user.Seconds()/float64(b.N), "user-s/op")
	b.ReportMetric(g.system.Seconds()/float64(b.N), "sys-s/op")
}

func newBench(b testing.TB, wrap ...func(http.Handler) http.Handler) *bench {
	b.Helper()
	g := &bench{dir: b.TempDir()}
	if err := os.Chmod(g.dir, 0o755); err != nil {
		b.Fatal(err)
	}
	var err error
	if g.program, err = built("keypaird"); err != nil {
		b.Fatal(err)
	}
	ns, err := acmetest.StartDNS(acmetest.DNSOptions{Zones: []string{"test"}, Records: []string{"*.test 60 A 127.0.0.1"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ns.Close() })
	o := acmetest.Options{Dir: g.dir, DNS: ns.Addr, NonceReject: -1}
	if len(wrap) > 0 {
		o.Wrap = wrap[0]
	}
	if g.ca, err = acmetest.StartCA(o); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { g.ca.Close() })
	return g
}

// names are n names, new ones for each turn.
func (g *bench) names(turn, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("t%d-%d.test", turn, i)
	}
	return list
}

func (g *bench) configure(b testing.TB, state string, names []string) string {
	b.Helper()
	var text strings.Builder
	tls := filepath.Join(g.dir, "tls")
	if err := os.MkdirAll(tls, 0o755); err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(&text, `state     = %q
sign_with = ["pebble"]
parallel  = 16
[ca.pebble]
directory = %q
roots     = %q
[http-01]
listen = %q
self_test = false
[deploy.files]
chain = "%s/{name}.crt"
key   = "%s/{name}.key"
`, filepath.Join(g.dir, state), g.ca.Directory, g.ca.Roots, net.JoinHostPort("127.0.0.1", strconv.Itoa(g.ca.HTTPPort)), tls, tls)
	for _, name := range names {
		fmt.Fprintf(&text, "[cert.%q]\nhttp-01 = [%q]\ndeploy = [\"files\"]\n", name, name)
	}
	path := filepath.Join(g.dir, "keypaird.toml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// run runs a program, which has to exit with status. The test binary runs as
// floor.
func (g *bench) run(b testing.TB, status int, program string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, args...)
	if program == os.Args[0] {
		cmd.Args[0] = "floor"
	}
	out, err := cmd.CombinedOutput()
	g.user += cmd.ProcessState.UserTime() // with those of the processes that it has started and waited for
	g.system += cmd.ProcessState.SystemTime()
	var exit *exec.ExitError
	if got := cmd.ProcessState.ExitCode(); got != status || err != nil && !errors.As(err, &exit) {
		b.Fatalf("%v: %v\n%s", cmd.Args[:2], err, out)
	}
}
