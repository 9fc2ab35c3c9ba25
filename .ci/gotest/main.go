// Gotest runs "go test" and prints what a person wants to read of it: one line
// for each package, the whole output of a test that fails, and at the end every
// test that was left out, with its reason.
//
//	go run ./.ci/gotest [-skips N] [GO-TEST-FLAG...] PACKAGE...
//
// It fails if a test failed, if no test ran, or if more than N tests were
// skipped.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// An event is one line of "go test -json" (see go doc test2json), and of the
// build before it.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// A summary collects what is printed at the end.
type summary struct {
	out                    io.Writer
	output                 map[string]*strings.Builder // by package and test, until it has ended
	skips                  []string
	passed, failed, broken int
}

func main() {
	args := os.Args[1:]
	most := -1
	if len(args) > 1 && args[0] == "-skips" {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, "gotest: -skips:", err)
			os.Exit(2)
		}
		most, args = n, args[2:]
	}
	s := &summary{out: os.Stdout, output: map[string]*strings.Builder{}}
	err := s.run(args)
	ok := s.finish(most)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest: go test:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run runs go test and reads its events.
func (s *summary) run(args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	rerr := s.read(events)
	return errors.Join(rerr, cmd.Wait())
}

// read takes in all events. Lines that are no event are printed as they are.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &e) != nil:
			fmt.Fprintf(s.out, "%s", line)
		default:
			s.add(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	id := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		if s.output[id] == nil {
			s.output[id] = &strings.Builder{}
		}
		s.output[id].WriteString(e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass", "fail", "skip":
		s.ended(e, id)
	}
}

// ended counts a test or package that has ended and prints what failed.
func (s *summary) ended(e event, id string) {
	var said string
	if b := s.output[id]; b != nil {
		said = b.String()
		delete(s.output, id)
	}
	switch {
	case e.Test == "" && e.Action == "fail":
		s.broken++
		fmt.Fprint(s.out, said)
		fmt.Fprintf(s.out, "FAIL\t%s\t%.1fs\n", e.Package, e.Elapsed)
	case e.Test == "" && e.Action == "pass":
		fmt.Fprintf(s.out, "ok\t%s\t%.1fs\n", e.Package, e.Elapsed)
	case e.Test == "":
	case e.Action == "fail":
		s.failed++
		fmt.Fprint(s.out, said)
	case e.Action == "skip":
		s.skips = append(s.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(said)))
	default:
		s.passed++
	}
}

// reason returns the last line that a skipped test logged itself, without its place.
// A story logs its script after that.
func reason(said string) string {
	last, own := "no reason given", false
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, text, found := strings.Cut(line, "_test.go:"); found {
			if _, text, found = strings.Cut(text, ": "); found {
				own, line = true, text
			}
		} else if own {
			continue
		}
		last = line
	}
	return last
}

// finish prints the end and reports whether all is as it should be.
func (s *summary) finish(most int) bool {
	if len(s.skips) > 0 {
		fmt.Fprintf(s.out, "\nLeft out here:\n")
		for _, line := range s.skips {
			fmt.Fprintf(s.out, "  %s\n", line)
		}
	}
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, len(s.skips))
	ok := s.failed == 0 && s.broken == 0 && s.passed > 0
	if most >= 0 && len(s.skips) > most {
		fmt.Fprintf(s.out, "more than the %d known skips: find out what is missing here\n", most)
		ok = false
	}
	return ok
}
