package names

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/process"
	"keypaird/renew/textfmt"
)

// A child is one run of keypaird-names.
type child struct {
	cmd           *process.Cmd
	in, out, errs *os.File // our ends of its standard files
}

// start starts a child. It is killed when ctx ends.
func start(ctx context.Context, c launch.Child) (*child, error) {
	cmd, err := launch.Command(ctx, c)
	if err != nil {
		return nil, err
	}
	k := &child{cmd: cmd}
	var theirs [3]*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	var err1, err2, err3 error
	theirs[0], k.in, err1 = os.Pipe()
	k.out, theirs[1], err2 = os.Pipe()
	k.errs, theirs[2], err3 = os.Pipe()
	err = errors.Join(err1, err2, err3)
	if err == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
		err = cmd.Start()
	}
	if err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *child) close() {
	for _, f := range []*os.File{k.in, k.out, k.errs} {
		f.Close()
	}
}

// converse sends a request, reads the answer and waits for the end of the child. kill
// ends it.
func (k *child) converse(ctx context.Context, kill func(), request []byte, f message.Format, log io.Writer) (message.Answer, error) {
	defer k.close()
	// A process that it has started, and not our child alone, may hold the pipes open.
	unblock := func() {
		now := time.Now()
		_, _, _ = k.in.SetDeadline(now), k.out.SetDeadline(now), k.errs.SetDeadline(now)
	}
	defer context.AfterFunc(ctx, unblock)()
	go func() { _, _ = k.in.Write(request) }() // it may never read it
	lines := 0
	tail := &textfmt.Tail{Line: func(text string) string {
		text = textfmt.OneLine(text, maxLine)
		if lines++; text != "" && lines <= maxLines {
			fmt.Fprintln(log, text)
		}
		return text
	}}
	logged := make(chan struct{})
	go func() { defer close(logged); _, _ = io.Copy(tail, k.errs) }()
	a, broken := message.ReadAnswer(k.out, f)
	if broken != nil && !errors.Is(broken, message.ErrNone) {
		kill()
	}
	_ = k.in.Close() // it ends with its input
	timer := time.AfterFunc(endLimit, kill)
	exit := k.cmd.Wait()
	timer.Stop()
	select {
	case <-logged:
	case <-time.After(endLimit):
		unblock()
		<-logged
	}
	return a, k.fault(ctx, broken, exit, tail.String())
}

// fault returns the error of a child without an answer, or nil.
func (k *child) fault(ctx context.Context, broken, exit error, output string) error {
	remedy := "try again; if it happens again, report it with the last output"
	var reason string
	switch {
	case context.Cause(ctx) == errSilent:
		reason = errSilent.Error()
	case k.cmd.ExitCode() == launch.NotStarted:
		return problem.Newf("let "+netUser()+" execute that program, and search the directories above it", "%s: %s", Program, output)
	case broken != nil && !errors.Is(broken, message.ErrNone):
		remedy = "install keypaird and " + Program + " of the same version; if it happens again, report it"
		reason = "violated the protocol: " + broken.Error()
	case exit != nil:
		reason = "exited: " + exit.Error()
	case broken != nil:
		reason = "exited without an answer"
	default:
		return nil
	}
	if output == "" {
		return problem.Newf(remedy, "%s %s; it wrote nothing to standard error", Program, reason)
	}
	return problem.Newf(remedy, "%s %s; its last output: %s", Program, reason, output)
}

// netUser names the user that the child runs as.
func netUser() string {
	if user, err := launch.NetUser(); err == nil && user != "" {
		return fmt.Sprintf("the user %q", user)
	}
	return "this user"
}
