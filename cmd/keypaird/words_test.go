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
)

// A story is one script at work in its world.
type story struct {
	*testscript.TestScript
	*world
}

type worldKey struct{}

// words are what a story may say beside testscript's own commands. Those that
// wait do so for a minute at most.
func words() map[string]func(*testscript.TestScript, bool, []string) {
	all := map[string]func(*story, bool, []string){
		"need":      (*story).need,      // PROGRAM...|own: leave the story out where that cannot be had
		"ca":        (*story).ca,        // [flags] [NAME]: start a CA; its URL is $NAME, by default $CA
		"dns":       (*story).dns,       // [-lagging]: start the DNS server, or a second one that lags behind
		"record":    (*story).record,    // add|remove RECORD|@FILE: change the zones; spread: the second server catches up
		"txt":       (*story).txt,       // appears|gone: wait for challenge records; "! txt": there are none
		"proxy":     (*story).proxy,     // [NAME...]: start a proxy that has placeholders for names
		"expand":    (*story).expand,    // FILE...: fill in variables; only we may read it, or anybody run it
		"exits":     (*story).exits,     // STATUS PROGRAM ARGUMENT...
		"until":     (*story).until,     // STATUS PROGRAM ARGUMENT...: again and again until it does
		"requests":  (*story).requests,  // [-ca NAME] [N]: so many since the last time
		"orders":    (*story).orders,    // [-ca NAME] PLACED FINALIZED: so many in all
		"proofs":    (*story).proofs,    // [-state DIR] TARGET NAME=TYPE...: how the CA saw them proven
		"othercert": (*story).othercert, // [-ended] [-alone] FILE NAME...: a pair by another CA, whose root is other.pem
		"served":    (*story).served,    // NAME CERTIFICATE [ADDRESS]: what openssl s_client sees
		"matching":  (*story).matching,  // CHAIN KEY: these are a pair
		"modes":     (*story).modes,     // MODE FILE...
		"private":   (*story).private,   // DIRECTORY...: others may do nothing with it, or with what is in it
		"listening": (*story).listening, // ADDRESS: wait until somebody does
		"appears":   (*story).appears,   // FILE [TEXT]: wait for it, with that in it
		"address":   (*story).address,   // ADDRESS: one more of this machine's
		"foreign":   (*story).foreign,   // ADDRESS: start a web server that knows nothing
		"stalled":   (*story).stalled,   // start a server that never answers, at $STALLED
		"mount":     (*story).mount,     // small DIR SIZE|readonly DIR|copy DIR
		"unmount":   (*story).unmount,   // DIR
		"fill":      (*story).fill,      // DIR: fill its disk
		"at":        (*story).at,        // [-ca NAME] KIND fill DIR: when the CA gets the next such request
		"signal":    (*story).signal,    // SIGNAL PROGRAM: by its name
		"daemon":    (*story).daemon,    // [-state DIR] SIGNAL: to the daemon that works there
		"manager":   (*story).manager,   // [DURATION]: be the service manager; what it is told is in the file manager
		"sink":      (*story).sink,      // start a web server, at $SINK, that writes what it is told to the file sink
		"site":      (*story).site,      // ADDRESS[:PORT] HOST[,HOST...] DIR: start nginx that shows it as https://HOST/, and trust it
		"edit":      (*story).edit,      // FILE REGEXP REPLACEMENT: there is at least one match
		"buy":       (*story).buy,       // [-days N] [-ago N] [-left DURATION] [-clients] DIR NAME...: a pair of a CA without ACME, into DIR/{chain,key,cert}.pem
		"clock":     (*story).clock,     // [DURATION]: start, or fail when more has passed
		"golden":    (*story).golden,    // NAME FILE...: they are as testdata/golden/NAME.txt says
	}
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name, do := range all {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			do(&story{ts, ts.Value(worldKey{}).(*world)}, neg, args)
		}
	}
	return cmds
}

const patience = time.Minute

// publish tells the script what has been started.
func (s *story) publish() {
	for name, value := range s.vars {
		s.Setenv(name, value)
	}
	s.Setenv("WORLD", s.head())
}

// within tries until ok, for so long at most.
func within(limit time.Duration, ok func() error) error {
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("not within %v: %w", limit, err)
		}
	}
}

func (s *story) eventually(what string, ok func() error) {
	if err := within(patience, ok); err != nil {
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
		if err := lacking(what); err != nil && mustHave() {
			s.Fatalf("%v: on Debian make servers installs it", err)
		} else if err != nil {
			s.t.Skip(err.Error())
		}
	}
}

// lacking tells whether a program is not installed.
func lacking(program string) error {
	_, err := exec.LookPath(program)
	return err
}

// mustHave tells whether a server that is missing is a failure.
func mustHave() bool {
	_, err := os.Stat("/etc/debian_version")
	return err == nil || os.Getenv("CI") == "true"
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
