package keypair

import (
	"regexp"
	"slices"
	"strings"
)

// A traced line is one system call of the helper's thread.
type traced struct{ thread, call, line string }

// all returns the calls of the thread that works on the store, and which of
// them is the first one after the begin mark; -1 if it did not come so far.
func (c *crash) all(trace string) (lines []traced, first int) {
	thread := ""
	if before, _, ok := strings.Cut(trace, `"`+beginMark); ok {
		thread, _, _ = strings.Cut(before[strings.LastIndexByte(before, '\n')+1:], " ")
	}
	first = -1
	for line := range strings.Lines(trace) {
		line = strings.TrimSuffix(line, "\n")
		id, rest, _ := strings.Cut(line, " ")
		call, _, ok := strings.Cut(strings.TrimLeft(rest, " "), "(")
		if id != thread || !ok || strings.Trim(call, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			continue // of another thread, or no call: a signal, an exit
		}
		if strings.Contains(line, beginMark) {
			first = len(lines) + 1
		}
		lines = append(lines, traced{id, call, line})
	}
	return lines, first
}

// window returns the calls between the marks.
func (c *crash) window(trace string) []traced {
	lines, first := c.all(trace)
	if first < 0 {
		return nil
	}
	lines = lines[first:]
	if end := slices.IndexFunc(lines, func(l traced) bool { return strings.Contains(l.line, endMark) }); end >= 0 {
		lines = lines[:end]
	}
	return lines
}

// hit returns which of the calls in the window the fault met, -1 if none, and
// how many such calls there were before the window, -1 if it was not reached.
func (c *crash) hit(trace, call, fault string) (hit, before int) {
	lines, first := c.all(trace)
	if first < 0 {
		return -1, -1
	}
	for i := range first {
		if lines[i].call == call {
			before++
		}
	}
	hit = -1
	n := 0
	window := c.window(trace)
	for i, line := range window {
		if line.call != call {
			continue
		}
		last := strings.HasPrefix(fault, "signal") && i == len(window)-1 && !strings.Contains(trace, "exited with")
		if strings.Contains(line.line, "(INJECTED)") || last {
			hit = n
		}
		n++
	}
	return hit, before
}

// steps holds the beginning of a run to the order that makes a version durable
// before its name, and its name before the link.
func (c *crash) steps(window []traced, want []string) {
	var got []string
	kind := map[string]string{} // of each descriptor
	opened := regexp.MustCompile(`openat\((\w+), "([^"]+)", (\S+).* = (\d+)$`)
	first := regexp.MustCompile(`\((\d+)[,)]`)
	names := regexp.MustCompile(`"([^"]+)"`)
	for _, l := range window {
		if len(got) == len(want) {
			break
		}
		if m := opened.FindStringSubmatch(l.line); m != nil {
			switch dir, path, fd := m[1], m[2], m[4]; {
			case strings.Contains(m[3], "O_CREAT"):
				kind[fd] = "FILE"
				got = append(got, "create FILE")
			case path == ".":
				kind[fd] = kind[dir]
			case path == name:
				kind[fd] = "NAME"
			case path == "certs":
				kind[fd] = "CERTS"
			case strings.HasPrefix(path, ".tmp-"):
				kind[fd] = "TMP"
			default:
				kind[fd] = ""
			}
			continue
		}
		fd := first.FindStringSubmatch(l.line)
		switch l.call {
		case "fchmod", "write", "fsync", "close":
			if kind[fd[1]] == "FILE" || l.call == "fsync" {
				got = append(got, l.call+" "+kind[fd[1]])
			}
		case "mkdirat", "symlinkat", "renameat":
			step := l.call
			for _, m := range names.FindAllStringSubmatch(l.line, -1) {
				if strings.HasPrefix(m[1], ".") {
					m[1] = "TMP"
				}
				step += " " + m[1]
			}
			if step != "mkdirat certs" && step != "mkdirat "+name {
				got = append(got, step)
			}
		}
		if l.call == "close" {
			delete(kind, fd[1])
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fsyncTwice reports whether a file whose fsync failed is given to it again.
func fsyncTwice(lines []traced) bool {
	failed := ""
	for _, l := range lines {
		_, args, _ := strings.Cut(l.line, l.call)
		fd, _, _ := strings.Cut(args, ")")
		switch {
		case l.call == "fsync" && fd == failed:
			return true
		case l.call == "fsync" && strings.Contains(l.line, "-1 EIO"):
			failed = fd
		case l.call == "close" && fd == failed:
			failed = ""
		}
	}
	return false
}
