package imports

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/imports/trees"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// An Import is one run of the command import.
type Import struct {
	From, Dir      string // the client and its directory; "" means those in the usual places
	CA, Roots      string // as in [Options]
	Skip           []string
	Write, Disable bool

	JSON bool // print the report as JSON

	Log     *slog.Logger
	Waiting func(holder string)                    // called when another keypaird has the lock
	Print   func(result Result, asJSON bool) error // called with the report
	Confine bool                                   // give up, before a CA is asked, the rights that the new configuration does not need
}

// A Result can be printed.
type Result = interface{ WriteText(io.Writer) error }

// Flags adds the flags of the command.
func (i *Import) Flags(f *flag.FlagSet) {
	f.StringVar(&i.From, "from", "", "the `client`: "+strings.Join(trees.Clients(), ", ")+"; default: the one that is found")
	f.StringVar(&i.Dir, "dir", "", "its `directory`, or its configuration file; default: where it usually is")
	f.StringVar(&i.CA, "ca", "", "the `URL` of the CA's directory, for clients that do not keep it; default: Let's Encrypt")
	f.StringVar(&i.Roots, "roots", "", "PEM `file` with the roots for the CA's own TLS, if it is a private one")
	f.Func("skip", "leave out the certificate, or account, of this `name`; may be given several times", func(s string) error {
		i.Skip = append(i.Skip, s)
		return nil
	})
	f.BoolVar(&i.Write, "write", false, "write the configuration, and take accounts and pairs over")
	f.BoolVar(&i.Disable, "disable", false, "turn off what runs the other client, once the configuration is written")
	f.BoolVar(&i.JSON, "json", false, "print what was found and done as JSON")
}

// Run makes the import and prints its report. load are the options for reading
// configurations.
func (i *Import) Run(ctx context.Context, load config.Options) error {
	r, err := i.run(ctx, load)
	if r != nil {
		err = cmp.Or(err, i.Print(r, i.JSON))
	}
	return err
}

// plan returns the configuration to write to path, and what runs the other client.
func (i *Import) plan(path string, getenv func(string) string) (*Plan, []Runner, error) {
	at, err := i.locate()
	if err != nil {
		return nil, nil, err
	}
	runners := Runners(at.Client, "/")
	var commands []string
	for _, r := range runners {
		commands = append(commands, r.Text)
	}
	tree, err := trees.Read(at, commands)
	if err != nil {
		return nil, nil, err
	}
	p, err := New(tree, Options{Config: path, Getenv: getenv, CA: i.CA, Roots: i.Roots, Skip: i.Skip})
	return p, runners, err
}

// run makes the import. With an error there may be a report, too.
func (i *Import) run(ctx context.Context, load config.Options) (*Report, error) {
	path, err := filepath.Abs(cmp.Or(load.Path, load.Getenv(config.PathVariable), config.DefaultPath))
	if err != nil {
		return nil, err
	}
	p, runners, err := i.plan(path, load.Getenv)
	if err != nil {
		return nil, err
	}
	state := ""
	var service preflight.Preparation
	if len(p.Tree.Faults) == 0 {
		p.See(ctx)
		cfg, err := p.Check(load)
		if err != nil {
			return p.Report(state, runners), err
		}
		state, service = cfg.State, preflight.Prepare(ctx, cfg, p.Tree.Dir)
	}
	var taken Taken
	var prepared []string
	written := false
	disable := func(n int) error { return DisableRunner(ctx, &runners[n]) }
	if i.Write && i.Disable && i.Confine {
		d, err := startDisabler(runners)
		if err != nil {
			return nil, err
		}
		defer d.input.Close()
		disable = func(n int) error { return d.disable(n, &runners[n]) }
	}
	if i.Write {
		taken, prepared, err = i.write(ctx, p, load, service)
		written = err == nil
	} else if i.Disable && missing(path) {
		err = problem.New("nothing would renew the certificates: "+path+" does not exist", "write it, too: keypaird import -write -disable")
	}
	for n := range runners {
		if i.Disable && err == nil {
			err = disable(n)
		}
	}
	r := p.Report(state, runners)
	if r.start = "keypaird run"; service.Known() {
		r.start = "systemctl enable --now keypaird.service"
	}
	if r.Written = written; !written {
		r.Service = append(r.Service, service.Commands...)
	} else {
		r.Prepared = append(r.Prepared, prepared...)
		r.Taken = Taken{append([]string{}, taken.Accounts...), append([]string{}, taken.Pairs...)}
	}
	return r, err
}

// write lets the service of the packages do what it has to, and then does what was planned.
func (i *Import) write(ctx context.Context, p *Plan, load config.Options, service preflight.Preparation) (taken Taken, prepared []string, err error) {
	if err := p.Refusal(); err != nil {
		return taken, nil, err
	}
	if os.Geteuid() == 0 && p.options.Config == config.DefaultPath {
		if prepared, err = service.Do(ctx); err != nil {
			return taken, prepared, err
		}
	}
	p.confine = i.Confine
	taken, err = p.Write(ctx, load, engine.Options{Log: i.Log}, i.Waiting)
	if _, unsafe := errors.AsType[*durable.UnsafeError](err); unsafe && len(service.Commands) > 0 {
		err = problem.Wrap(err, "let the service do what it has to, and then this again: "+strings.Join(service.Commands, " && "))
	}
	return taken, prepared, err
}

// locate returns the tree to take over.
func (i *Import) locate() (trees.Location, error) {
	if i.From != "" && !slices.Contains(trees.Clients(), i.From) {
		return trees.Location{}, problem.Newf("name one of: "+strings.Join(trees.Clients(), " "), "there is no client %q", i.From)
	}
	if i.Dir != "" {
		if client := cmp.Or(i.From, trees.Recognize(i.Dir)); client != "" {
			return trees.Location{Client: client, Dir: i.Dir}, nil
		}
		return trees.Location{}, problem.Newf("name the client with -from", "%s is the directory of no client that is known: %s", i.Dir, strings.Join(trees.Clients(), " "))
	}
	found := trees.Find(i.From, os.Getenv("HOME"))
	if len(found) > 1 { // one that is installed may never have been used
		found = slices.DeleteFunc(found, func(at trees.Location) bool {
			t, err := trees.Read(at, nil)
			_, unsafe := errors.AsType[*durable.UnsafeError](err)
			return !unsafe && (err != nil || len(t.Certificates)+len(t.Faults) == 0)
		})
	}
	switch len(found) {
	case 0:
		return trees.Location{}, problem.New("no other client was found in the usual places", "name one with -from and its directory with -dir")
	case 1:
		return found[0], nil
	}
	var list []string
	for _, at := range found {
		list = append(list, at.Client+" in "+at.Dir)
	}
	return trees.Location{}, problem.New("several clients were found: "+strings.Join(list, ", "), "choose one: -from "+found[0].Client+" -dir "+found[0].Dir)
}
