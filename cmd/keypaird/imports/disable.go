package imports

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"syscall"

	"keypaird/renew/launch"
	"keypaird/renew/problem"
)

// DisableCommand is the argument of the program that makes it a disabler.
const DisableCommand = "disabler"

// A disabler is another process of this program, which turns off what runs the other client
// when it gets an order. It is started before a CA is asked, since the process that asks gives
// up the rights to do so.
type disabler struct {
	orders  *json.Encoder
	results *json.Decoder
	input   io.Closer // with its end the disabler ends
}

// A disabling is the part of a Runner that is sent to a disabler.
type disabling struct{ Kind, Where, Text, Disable string }

// A result is the answer of the disabler.
type result struct{ Error, Remedy string }

// startDisabler starts one for a list of runners.
func startDisabler(list []Runner) (*disabler, error) {
	cmd, err := launch.Self()
	if err != nil {
		return nil, err
	}
	cmd.Args = []string{os.Args[0], DisableCommand}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for its caller
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	d := &disabler{json.NewEncoder(in), json.NewDecoder(out), in}
	var orders []disabling
	for _, r := range list {
		orders = append(orders, disabling{r.Kind, r.Where, r.Text, r.Disable})
	}
	if err := d.orders.Encode(orders); err != nil {
		in.Close()
		return nil, err
	}
	return d, nil
}

// disable has the n-th runner turned off.
func (d *disabler) disable(n int, r *Runner) error {
	if r.Disabled || r.Kind == "script" {
		return nil
	}
	var done result
	err := d.orders.Encode(n)
	if err == nil {
		err = d.results.Decode(&done)
	}
	switch {
	case err != nil:
		return problem.Wrap(err, r.Disable)
	case done.Error != "":
		return problem.New(done.Error, done.Remedy)
	}
	r.Disabled = true
	return nil
}

// Disabler runs the disabler: it turns off what it gets an order for, of a list that it gets at
// first.
func Disabler(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, results := json.NewDecoder(in), json.NewEncoder(out)
	var list []disabling
	if err := orders.Decode(&list); err != nil {
		return problem.New("this command is for keypaird's own use", "keypaird import -disable")
	}
	for {
		var n int
		if err := orders.Decode(&n); err != nil || n < 0 || n >= len(list) {
			return nil // its caller has ended
		}
		o := list[n]
		var done result
		if err := DisableRunner(ctx, &Runner{Kind: o.Kind, Where: o.Where, Text: o.Text, Disable: o.Disable}); err != nil {
			done = result{err.Error(), problem.Remedy(err)}
		}
		if err := results.Encode(done); err != nil {
			return err
		}
	}
}
