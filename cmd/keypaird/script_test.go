package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"keypaird/renew/testutil"
)

// A story is one script at work in its world.
type story struct {
	*testscript.TestScript
	*world
}

type worldKey struct{}

// scriptCommands returns the commands of stories, which testdata/script/README.md explains.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]func(*story, bool, []string){
		"need":         (*story).need,
		"ca":           (*story).ca,
		"stepca":       (*story).stepca,
		"dns":          (*story).dns,
		"record":       (*story).record,
		"txt":          (*story).txt,
		"proxy":        (*story).proxy,
		"provider":     (*story).provider,
		"expand":       (*story).expand,
		"exits":        (*story).exits,
		"until":        (*story).until,
		"requests":     (*story).requests,
		"orders":       (*story).orders,
		"challenges":   (*story).challenges,
		"othercert":    (*story).othercert,
		"served":       (*story).served,
		"matching":     (*story).matching,
		"modes":        (*story).modes,
		"private":      (*story).private,
		"listening":    (*story).listening,
		"appears":      (*story).appears,
		"address":      (*story).address,
		"otherserver":  (*story).otherServer,
		"stalled":      (*story).stalled,
		"mount":        (*story).mount,
		"unmount":      (*story).unmount,
		"fill":         (*story).fill,
		"at":           (*story).at,
		"signal":       (*story).signal,
		"daemon":       (*story).daemon,
		"manager":      (*story).manager,
		"sink":         (*story).sink,
		"site":         (*story).site,
		"edit":         (*story).edit,
		"externalcert": (*story).externalCert,
		"clock":        (*story).clock,
		"golden":       (*story).golden,
	}
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name, do := range all {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			do(&story{ts, ts.Value(worldKey{}).(*world)}, neg, args)
		}
	}
	return cmds
}

// patience bounds the wait for what a busy machine does slowly.
const patience = 3 * time.Minute

// publish tells the script what has been started.
func (s *story) publish() {
	for name, value := range s.vars {
		s.Setenv(name, value)
	}
	s.Setenv("WORLD", s.head())
}

func (s *story) eventually(what string, ok func() error) {
	if err := testutil.Within(patience, ok); err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

func (s *story) need(_ bool, args []string) {
	for _, what := range args {
		if what == "own" {
			if !s.own {
				s.t.Skip(whyNotOwn())
			}
			continue
		}
		if what == "step-ca" && lacking(what) != nil {
			s.t.Skip("step-ca is not installed: on Debian make servers builds it, if the module proxy can be reached")
		}
		if err := lacking(what); err != nil && testutil.Required() {
			s.Fatalf("%v: on Debian make servers installs it", err)
		} else if err != nil {
			s.t.Skip(err.Error())
		}
	}
}

// lacking tells whether a program, or a file given by its path, is not installed.
func lacking(program string) error {
	if strings.HasPrefix(program, "/") {
		_, err := os.Stat(program)
		return err
	}
	_, err := exec.LookPath(program)
	return err
}

func (s *story) exits(_ bool, args []string) {
	if got := s.status(args[1:]); strconv.Itoa(got) != args[0] {
		s.Fatalf("exit status %d, want %s", got, args[0])
	}
}

func (s *story) until(_ bool, args []string) {
	s.eventually(strings.Join(args, " "), func() error {
		if got := s.status(args[1:]); strconv.Itoa(got) != args[0] {
			return fmt.Errorf("exit status %d", got)
		}
		return nil
	})
}

// status runs a program and returns how it exits.
func (s *story) status(argv []string) int {
	err := s.Exec(argv[0], argv[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	s.Check(err)
	return 0
}
