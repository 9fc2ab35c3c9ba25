package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"keypaird/renew/keypair"
)

func (s *story) txt(neg bool, args []string) {
	look := func(want bool) func() error {
		return func() error {
			list, err := s.ns.txt()
			if err == nil && len(list) > 0 != want {
				err = errors.New("challenge records: " + strings.Join(list, ", "))
			}
			return err
		}
	}
	switch {
	case neg && len(args) == 0:
		s.Check(look(false)())
	case len(args) == 1 && args[0] == "appears":
		s.eventually("a challenge record", look(true))
	case len(args) == 1 && args[0] == "gone":
		s.eventually("no challenge record", look(false))
	default:
		s.Fatalf("usage: txt appears|gone, or ! txt")
	}
}

func (s *story) served(_ bool, args []string) {
	addr := s.Getenv("PROXY")
	if len(args) == 3 {
		addr = args[2]
	}
	want := s.ReadFile(args[1])
	s.eventually(args[0]+" served with "+args[1], func() error {
		for range 4 { // a worker of before the reload may answer some
			if err := s.openssl(addr, args[0], want); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *story) matching(_ bool, args []string) {
	_, err := keypair.Parse([]byte(s.ReadFile(args[0])), []byte(s.ReadFile(args[1])))
	s.Check(err)
}

func (s *story) modes(_ bool, args []string) {
	for _, file := range args[1:] {
		fi, err := os.Stat(s.MkAbs(file))
		s.Check(err)
		if got := fmt.Sprintf("%04o", fi.Mode().Perm()); got != args[0] {
			s.Fatalf("mode of %s is %s, want %s", file, got, args[0])
		}
	}
}

func (s *story) private(_ bool, args []string) {
	for _, dir := range args {
		s.Check(filepath.WalkDir(s.MkAbs(dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Type() == fs.ModeSymlink {
				return err
			}
			fi, err := entry.Info()
			if err == nil && fi.Mode().Perm()&0o077 != 0 {
				err = fmt.Errorf("mode of %s is %04o", path, fi.Mode().Perm())
			}
			return err
		}))
	}
}

func (s *story) listening(_ bool, args []string) {
	s.eventually("somebody at "+args[0], func() error { return dial(args[0]) })
}

func (s *story) appears(_ bool, args []string) {
	s.eventually(args[0], func() error {
		text, err := os.ReadFile(s.MkAbs(args[0]))
		if err == nil && len(args) == 2 && !strings.Contains(string(text), args[1]) {
			err = fmt.Errorf("%q is not in it", args[1])
		}
		return err
	})
}

func (s *story) requests(_ bool, args []string) {
	name, a, args := s.caOf(args)
	now := a.asked()
	since := now - s.seen[name]
	s.seen[name] = now
	if len(args) == 0 {
		return
	}
	want, err := strconv.Atoi(args[0])
	s.Check(err)
	if since != want {
		s.Fatalf("%d requests at %s, want %d", since, name, want)
	}
}

func (s *story) orders(_ bool, args []string) {
	if s.step != nil {
		s.stepOrders(args)
		return
	}
	_, a, args := s.caOf(args)
	placed, finalized := a.orders()
	if got := fmt.Sprint(placed, " ", finalized); got != strings.Join(args, " ") {
		s.Fatalf("orders placed and finalized: %s, want %s", got, strings.Join(args, " "))
	}
}

func (s *story) challenges(_ bool, args []string) {
	f := flag.NewFlagSet("challenges", flag.ContinueOnError)
	state := f.String("state", "state", "")
	s.Check(f.Parse(args))
	a, args := s.cas["CA"], f.Args()
	live := s.MkAbs(filepath.Join(*state, "certs", strings.Replace(args[0], "*.", "_wildcard.", 1), "live"))
	p, err := keypair.Parse([]byte(s.ReadFile(filepath.Join(live, "fullchain.pem"))), []byte(s.ReadFile(filepath.Join(live, "privkey.pem"))))
	s.Check(err)
	got, err := a.Challenges(p.Leaf)
	s.Check(err)
	if len(got) != len(args)-1 {
		s.Fatalf("challenges %v, want %v", got, args[1:])
	}
	for _, want := range args[1:] {
		name, kind, _ := strings.Cut(want, "=")
		if got[name] != kind {
			s.Fatalf("%s was validated by %q, want %q", name, got[name], kind)
		}
	}
}

// openssl asks a server for a name, as an independent client would, and
// compares what it presents with a certificate. What a CA of the story signed
// must verify too.
func (w *world) openssl(addr, name, want string) error {
	if err := lacking("openssl"); err != nil {
		return err
	}
	args := []string{"s_client", "-connect", addr, "-servername", name}
	if !strings.Contains(want, placeholder) {
		args = append(args, "-CAfile", w.file("trust.pem"), "-verify_return_error", "-verify_hostname", name)
	}
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("openssl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	if got := certificate(string(out)); got == "" || got != certificate(want) {
		return fmt.Errorf("it serves\n%s", out)
	}
	return nil
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "PIPE": syscall.SIGPIPE, "USR2": syscall.SIGUSR2}

// signalled looks for the program in /proc, where a world of its own has only
// the processes of its story.
func (s *story) signal(_ bool, args []string) {
	if !s.own {
		s.Fatalf("signal: say: need own")
	}
	commands, err := filepath.Glob("/proc/[0-9]*/exe")
	s.Check(err)
	found := errors.New("no process " + args[1])
	for _, link := range commands {
		program, err := os.Readlink(link)
		if err != nil || filepath.Base(program) != args[1] {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		s.Check(err)
		found = syscall.Kill(pid, signals[args[0]])
	}
	s.Check(found)
}

func (s *story) clock(_ bool, args []string) {
	if len(args) == 0 {
		s.clockStart = time.Now()
		return
	}
	limit, err := time.ParseDuration(args[0])
	s.Check(err)
	if took := time.Since(s.clockStart); took > limit {
		s.Fatalf("took %v, more than %v", took, limit)
	}
}
