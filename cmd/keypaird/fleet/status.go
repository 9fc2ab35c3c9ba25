package fleet

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/status/nodes"
	"keypaird/renew/textfmt"
)

// Options returns what a configuration says of the fleet. ID and Identity are for the caller.
func Options(cfg *config.Config, e engine.Engine, log *slog.Logger) fleet.Options {
	f, audiences := cfg.Fleet, cfg.Audiences()
	return fleet.Options{
		Engine: e, Members: f.Nodes.Members(), Node: f.Node, Order: f.Order, Log: log,
		Audience: func(target string) []string { return audiences[target] },
		Rules:    wave.Rules{Waves: f.Waves, Bake: f.Bake.Duration},
	}
}

// statusWait bounds how long the engine is waited for.
const statusWait = 15 * time.Second

// status prints who orders, what each node serves and what is missing.
func (c *Command) status(ctx context.Context, names []string) error {
	cfg, err := c.owned()
	if err != nil {
		return err
	}
	f, end, err := c.observe(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	all := slices.Sorted(maps.Keys(cfg.Audiences()))
	s := Describe(f, all)
	if s.Error == "" {
		s.Error, s.Remedy = alarm(ctx, f.Engine)
	}
	if len(names) > 0 {
		if names, err = choose(all, names); err != nil {
			return err
		}
		s.Targets = slices.DeleteFunc(s.Targets, func(t nodes.Release) bool { return !slices.Contains(names, t.Name) })
	}
	if !c.JSON {
		return s.WriteText(c.Stdout)
	}
	text, err := textfmt.JSON(s)
	if err == nil {
		_, err = c.Stdout.Write(text)
	}
	return err
}

// alarm returns why the engine takes no writes, though all can be read; "": it does, or that
// is not known.
func alarm(ctx context.Context, e engine.Engine) (what, remedy string) {
	of, ok := e.(interface {
		State(context.Context) (*wire.State, error)
	})
	if !ok {
		return "", ""
	}
	state, err := of.State(ctx)
	if err != nil {
		return "", ""
	}
	for _, member := range state.Endpoints {
		if len(member.Alarms) > 0 {
			err := alarmError(member)
			return host(member) + ": " + err.Error(), problem.Remedy(err)
		}
	}
	return "", ""
}

// owned reads the configuration, and becomes who owns the state directory.
func (c *Command) owned() (*config.Config, error) {
	o := c.options
	o.NoSecrets = true
	cfg, err := c.load(o)
	if err == nil {
		err = launch.BecomeOwner(cfg.State)
	}
	return cfg, err
}

// observe returns the fleet as the engine shows it now.
func (c *Command) observe(ctx context.Context, cfg *config.Config) (f *fleet.Fleet, end func(), err error) {
	connect := c.Connect
	if connect == nil {
		connect = connectEngine
	}
	e, disconnect := connect(ctx, cfg, c.Log)
	o := Options(cfg, e, c.Log)
	o.Observer = true
	if o.Identity, err = envelope.Read(cfg.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
		disconnect()
		return nil, nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	if o.ID, err = ID(waiting, e, cfg); err == nil && o.ID == "" {
		err = problem.New("the prefix of the engine belongs to no fleet yet", "run keypaird fleet init on a node of order")
	}
	if err != nil {
		disconnect()
		return nil, nil, err
	}
	following, stop := context.WithCancel(ctx)
	f = fleet.New(o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Run(following)
	}()
	end = func() { stop(); <-done; disconnect() }
	f.Wait(waiting)
	if err := f.Seat().Err; err != nil {
		end()
		return nil, nil, err
	}
	return f, end, nil
}

// Describe collects what a node knows of its fleet, and of these targets.
func Describe(f *fleet.Fleet, targets []string) *nodes.Fleet {
	seat, behind := f.Seat(), map[string]int{}
	s := &nodes.Fleet{ID: f.ID, Node: f.Node, Seat: seat.Node, Waits: seat.Waits, Remedy: seat.Remedy, Partial: !f.SeesAll(), Nodes: []nodes.Node{}, Targets: []nodes.Release{}}
	if seat.Err != nil {
		s.Error, s.Remedy, s.Since = seat.Err.Error(), problem.Remedy(seat.Err), seat.ErrSince.UTC().Truncate(time.Second)
	}
	for _, name := range targets {
		r, _ := f.Release(name)
		t := describe(name, r, slices.DeleteFunc(f.Progress(name), func(n wave.Node) bool { return s.Partial && n.Name != f.Node }))
		for _, m := range t.Missing {
			if m.Allowed {
				behind[m.Node]++
			}
		}
		s.Targets = append(s.Targets, t)
	}
	for _, n := range f.Nodes() {
		s.Nodes = append(s.Nodes, nodes.Node{
			Name: n.Name, Alive: n.Away == 0, Away: int(n.Away.Seconds()), Version: n.Version, Clock: int(n.Clock.Round(time.Second).Seconds()),
			Orders: n.Orders, Seated: n.Name == seat.Node, Waits: n.Waits, Behind: behind[n.Name],
		})
	}
	return s
}

// describe returns how far a release has come on the nodes of list.
func describe(name string, r document.Release, list []wave.Node) nodes.Release {
	t := nodes.Release{
		Name: name, Serial: r.Serial, Stage: nodes.None, Fingerprint: r.Fingerprint, NotAfter: r.NotAfter.UTC(), Held: r.Held,
		Verified: []string{}, Missing: []nodes.Missing{},
	}
	switch {
	case r.Serial == 0:
	case r.All:
		t.Stage = nodes.All
	case r.Held != "":
		t.Stage, t.Wave = nodes.Held, r.Wave+1
	default:
		t.Stage, t.Wave = nodes.Wave, r.Wave+1
	}
	for _, n := range list {
		if n.Verified {
			t.Verified = append(t.Verified, n.Name)
		} else {
			t.Missing = append(t.Missing, nodes.Missing{Node: n.Name, Allowed: r.Serial > 0 && wave.Allows(r, n.Name), Failures: n.Failures, Error: n.Err})
		}
	}
	return t
}
