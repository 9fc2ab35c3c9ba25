package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew"
)

// A Sight is one endpoint asked for one name, a row of "keypaird verify".
type Sight struct {
	Target     string `json:"target"`
	Deployment string `json:"deployment"`
	Endpoint   string `json:"endpoint"`
	Name       string `json:"name"`
	OK         bool   `json:"ok"`
	Error      string `json:"error,omitempty"`
	Remedy     string `json:"remedy,omitempty"`
}

// verify dials every endpoint of every deployment and compares what it serves
// with the live pair.
func (a *app) verify(ctx context.Context, args []string) error {
	flags := a.flags("verify")
	asJSON := flags.Bool("json", false, "print the rows as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	w, err := a.wire(cfg, a.logger(levelQuiet))
	if err != nil {
		return err
	}
	defer w.close()
	targets, err := w.choose(flags.Args())
	if err != nil {
		return err
	}
	rows := []Sight{}
	for _, t := range targets {
		rows = append(rows, w.sights(ctx, t)...)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if *asJSON {
		if err := a.printJSON(rows); err != nil {
			return err
		}
	} else if err := a.printSights(rows); err != nil {
		return err
	}
	return verdict(rows)
}

// sights looks at a target from everywhere it is deployed to.
func (w *wiring) sights(ctx context.Context, t renew.Target) []Sight {
	leaf, _, _, err := w.store.LiveLeaf(t.Name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errNoPair
		}
		return []Sight{{Target: t.Name, Error: err.Error(), Remedy: "keypaird issue"}}
	}
	var rows []Sight
	for _, d := range t.Deploy {
		for _, e := range w.deployments[d].Verify {
			for _, name := range t.Names {
				row := Sight{Target: t.Name, Deployment: d, Endpoint: e.String(), Name: name, OK: true}
				if err := patiently(ctx, func() error { return probe.Verify(ctx, e, name, leaf) }); err != nil {
					row.OK, row.Error, row.Remedy = false, err.Error(), renew.Remedy(err)
				}
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// A server that has just reloaded may have an old worker that still accepts: a
// wrong pair is looked at again for this long.
const (
	lookAgain  = time.Second
	firstPause = 20 * time.Millisecond
)

// patiently calls look until it succeeds or a second is over.
func patiently(ctx context.Context, look func() error) error {
	began := time.Now()
	for pause := firstPause; ; pause *= 2 {
		err := look()
		var stale *probe.StaleError
		if !errors.As(err, &stale) || time.Since(began)+pause > lookAgain {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

var errNoPair = errors.New("no pair is live")

func (a *app) printSights(rows []Sight) error {
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tENDPOINT\tNAME\tSERVES")
	for _, r := range rows {
		serves := "the live pair"
		if !r.OK {
			serves = r.Error
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", r.Target, r.Endpoint, r.Name, serves)
	}
	return tw.Flush()
}

// A VerdictError says how many rows were wrong.
type VerdictError struct {
	Wrong, Of int
	Hint      string
}

func (e *VerdictError) Error() string {
	return fmt.Sprintf("%d of %d checks failed", e.Wrong, e.Of)
}

// Remedy is that of the first wrong row.
func (e *VerdictError) Remedy() string { return e.Hint }

// errNowhere is the answer where no deployment says where to look.
type errNowhere struct{}

func (errNowhere) Error() string { return "nothing to verify" }

// Remedy says what the operator can do about it.
func (errNowhere) Remedy() string {
	return `name the endpoints of a deployment: verify = ["127.0.0.1:443"] in its [deploy] table`
}

func verdict(rows []Sight) error {
	if len(rows) == 0 {
		return errNowhere{}
	}
	v := &VerdictError{Of: len(rows)}
	for _, r := range rows {
		if !r.OK {
			if v.Wrong == 0 {
				v.Hint = r.Remedy
			}
			v.Wrong++
		}
	}
	if v.Wrong == 0 {
		return nil
	}
	return v
}
