package progress

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A screen is a terminal that understands the control sequences of a Display.
type screen struct {
	mu            sync.Mutex
	width, height int
	rows          []string // the cursor is at the beginning of row
	row           int
	written       int // calls of Write
}

func newDisplay(width, height int) (*Display, *screen) {
	s := &screen{width: width, height: height, rows: []string{""}}
	d := Hidden(s)
	d.size = s.size
	return d, s
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written++
	for text := string(b); text != ""; {
		var n int
		line, rest, ends := strings.Cut(text, "\n")
		_, err := fmt.Sscanf(text, up, &n)
		switch {
		case strings.HasPrefix(text, clearDown):
			s.rows = append(s.rows[:s.row:s.row], "")
			text = text[len(clearDown):]
		case err == nil:
			s.row -= n
			_, text, _ = strings.Cut(text, "\r")
		case ends:
			s.line(line)
			text = rest
		default:
			return 0, fmt.Errorf("a line without end: %q", text)
		}
	}
	return len(b), nil
}

// line writes a line over the one that the cursor is in.
func (s *screen) line(text string) {
	text, cleared := strings.CutSuffix(text, clearLine)
	if old := s.rows[s.row]; !cleared && len(old) > len(text) {
		text += old[len(text):]
	}
	s.rows[s.row] = text
	if s.row++; s.row == len(s.rows) {
		s.rows = append(s.rows, "")
	}
}

func (s *screen) size() (width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.width, s.height
}

func (s *screen) resize(width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.width, s.height = width, height
}

func (s *screen) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

func (s *screen) shows(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.Join(s.rows[:s.row], "\n"); got != strings.Join(want, "\n") || s.rows[s.row] != "" {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisplay(80, 24)
		d.Step("early", "is not shown before Run")
		s.shows(t)
		d.Step("early", "")
		d.Run(func() {
			d.Step("a.example", "validating a.example by dns-01")
			d.Step("b.example", "finalizing")
			s.shows(t, "a.example: validating a.example by dns-01, 0s", "b.example: finalizing, 0s")
			time.Sleep(75 * time.Second)
			synctest.Wait()
			s.shows(t, "a.example: validating a.example by dns-01, 1m15s", "b.example: finalizing, 1m15s")
			d.Step("a.example", "finalizing")
			s.shows(t, "a.example: finalizing, 0s", "b.example: finalizing, 1m15s")
			fmt.Fprintln(d, "level=WARN msg=slow")
			s.shows(t, "level=WARN msg=slow", "a.example: finalizing, 0s", "b.example: finalizing, 1m15s")
			d.Step("a.example", "")
			s.shows(t, "level=WARN msg=slow", "b.example: finalizing, 1m15s")
			d.Step("c.example", "") // never begun
			fmt.Fprintln(d, "level=WARN msg=slower")
		})
		s.shows(t, "level=WARN msg=slow", "level=WARN msg=slower")
		fmt.Fprintln(d, "level=WARN msg=late")
		d.Step("late", "is not shown after Run")
		s.shows(t, "level=WARN msg=slow", "level=WARN msg=slower", "level=WARN msg=late")
	})
}

// Nothing is written while nothing changes.
func TestDisplayIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisplay(80, 24)
		d.Run(func() {
			d.Step("a.example", "finalizing")
			before := s.writes()
			time.Sleep(10*time.Second + redraw/2)
			synctest.Wait()
			if n := s.writes() - before; n != 10 {
				t.Errorf("written %d times in 10 seconds", n)
			}
		})
	})
}

// Lines fit the terminal, also when its size changes.
func TestDisplaySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s := newDisplay(40, 5)
		d.Run(func() {
			for i := range 9 {
				d.Step(fmt.Sprintf("host%d.example.org", i), "deploying to nginx and to\tposts\x1b[31mfix")
			}
			line := func(i int) string { return fmt.Sprintf("host%d.example.org: deploying to…, 0s", i) }
			s.shows(t, line(0), line(1), line(2), "and 6 more")
			s.resize(100, 7)
			time.Sleep(redraw * 3 / 2)
			synctest.Wait()
			line = func(i int) string {
				return fmt.Sprintf("host%d.example.org: deploying to nginx and to postsfix, 0s", i)
			}
			s.shows(t, line(0), line(1), line(2), line(3), line(4), "and 4 more")
		})
		s.shows(t)
	})
}

func TestNew(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if New(file, "xterm").size != nil || New(new(bytes.Buffer), "xterm").size != nil {
		t.Error("a file is no terminal")
	}
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		d := Hidden(&out)
		d.Run(func() {
			d.Step("a.example", "finalizing")
			time.Sleep(3 * time.Second)
			d.Step("a.example", "")
			d.Step("b.example", "validating")
			time.Sleep(time.Second)
			d.Step("a.example", "deploying to nginx")
			time.Sleep(time.Second)
			d.Step("a.example", "")
			fmt.Fprintln(d, "a line")
		})
		took, ok := d.Took("a.example")
		if _, working := d.Took("b.example"); took != 5*time.Second || !ok || working || out.String() != "a line\n" {
			t.Errorf("took %s, %v, and wrote %q", took, ok, out.String())
		}
	})
}
