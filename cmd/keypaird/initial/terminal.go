package initial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

var errEnd = problem.New("the input ended: nothing was changed", "answer every question, or give flags: keypaird init -h")

// ask asks a question until its answer is right.
func (w *work) ask(ctx context.Context, q question, optional bool) error {
	proposal := q.propose(w.draft)
	for {
		fmt.Fprint(w.Err, q.text)
		if proposal != "" {
			fmt.Fprintf(w.Err, " [%s]", proposal)
		}
		fmt.Fprint(w.Err, ": ")
		answer, err := readLine(ctx, w.In)
		if err != nil {
			fmt.Fprintln(w.Err)
			return err
		}
		switch {
		case answer == "?":
			if q.choices == nil {
				fmt.Fprintln(w.Err, "  keypaird help init, and keypaird.toml(5), say more")
			} else {
				fmt.Fprint(w.Err, textfmt.Wrap("  ", strings.Join(q.choices(), ", "), columns, 2))
			}
			continue
		case answer == "" && proposal != "":
			answer = proposal
		case answer == "" && !optional:
			fmt.Fprintln(w.Err, "  there is no proposal: write an answer")
			continue
		}
		err = q.set(ctx, w.draft, answer)
		if err == nil || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(w.Err, "  %v\n", err)
		if remedy := problem.Remedy(err); remedy != "" {
			fmt.Fprint(w.Err, textfmt.Wrap("  ", remedy, columns, 2))
		}
	}
}

const (
	maxLine = 4096 // of an answer
	poll    = 100  // milliseconds between looks at ctx
)

// readLine reads a line that an operator types. Only what the terminal has ready is read,
// so that an interrupt ends it at once.
func readLine(ctx context.Context, in *os.File) (string, error) {
	var line []byte
	one := make([]byte, 1)
	for {
		ready := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, poll)
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.Is(err, unix.EINTR) || err == nil && n == 0:
			continue
		case err != nil:
			return "", fmt.Errorf("reading the terminal: %w", err)
		}
		n, err = in.Read(one)
		switch {
		case n == 0 || errors.Is(err, io.EOF) || errors.Is(err, unix.EIO): // EIO: the terminal is gone
			return "", errEnd
		case err != nil:
			return "", fmt.Errorf("reading the terminal: %w", err)
		case one[0] == '\n':
			return strings.TrimSpace(strings.ToValidUTF8(string(line), "\ufffd")), nil
		case len(line) < maxLine:
			line = append(line, one[0])
		}
	}
}
