package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/wave"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
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

// A Status is what keypaird fleet status prints.
type Status struct {
	ID      string         `json:"id"`
	Seat    string         `json:"seat,omitempty"` // node that orders; "": none
	Nodes   []NodeStatus   `json:"nodes"`
	Targets []TargetStatus `json:"targets"`
}

// A NodeStatus is a node of the fleet.
type NodeStatus struct {
	Node    string  `json:"node"`
	Alive   bool    `json:"alive"`
	Away    float64 `json:"away_seconds,omitempty"`
	Version string  `json:"version,omitempty"`
	Clock   float64 `json:"clock_ahead_seconds,omitempty"`
	Orders  bool    `json:"orders"`
	Waits   string  `json:"waits,omitempty"` // why it leaves ordering to others now
	Behind  int     `json:"behind"`          // releases that it may deploy and has not verified
}

// A TargetStatus is a certificate of the fleet.
type TargetStatus struct {
	Target      string    `json:"target"`
	Serial      uint64    `json:"serial"` // 0: there is no release
	Fingerprint string    `json:"fingerprint,omitempty"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Held        string    `json:"held,omitempty"`
	Verified    []string  `json:"verified"` // nodes
	Missing     []Missing `json:"missing"`
}

// A Missing is a node that has not verified the release.
type Missing struct {
	Node     string `json:"node"`
	Allowed  bool   `json:"allowed"` // it may deploy the release
	Failures int    `json:"failures,omitempty"`
	Error    string `json:"error,omitempty"`
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
	s, err := newStatus(f, slices.Sorted(maps.Keys(cfg.Audiences())), names)
	if err != nil {
		return err
	}
	if c.asJSON {
		text, err := textfmt.JSON(s)
		if err == nil {
			_, err = c.Stdout.Write(text)
		}
		return err
	}
	return s.WriteText(c.Stdout)
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
		connect = Connect
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
	if o.ID, err = ID(waiting, e, o.Members, cfg.State); err == nil && o.ID == "" {
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

// newStatus collects what is known of targets; none: of all.
func newStatus(f *fleet.Fleet, all, names []string) (*Status, error) {
	if err := known(all, names); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = all
	}
	s := &Status{ID: f.ID, Seat: f.Seat().Node, Nodes: []NodeStatus{}, Targets: []TargetStatus{}}
	for _, n := range f.Nodes() {
		s.Nodes = append(s.Nodes, NodeStatus{n.Name, n.Away == 0, n.Away.Seconds(), n.Version, n.Clock.Round(time.Second).Seconds(), n.Orders, n.Waits, n.Behind})
	}
	for _, name := range names {
		r, _ := f.Release(name)
		s.Targets = append(s.Targets, newTarget(name, r, f.Progress(name)))
	}
	return s, nil
}

// known returns the error for a name that is not among all.
func known(all, names []string) error {
	for _, name := range names {
		if !slices.Contains(all, name) {
			return problem.Newf("its names: "+strings.Join(all, " "), "the configuration has no certificate %q", name)
		}
	}
	return nil
}

func newTarget(name string, r document.Release, nodes []wave.Node) TargetStatus {
	t := TargetStatus{Target: name, Serial: r.Serial, Fingerprint: r.Fingerprint, NotAfter: r.NotAfter, Held: r.Held, Verified: []string{}, Missing: []Missing{}}
	for _, n := range nodes {
		if n.Verified {
			t.Verified = append(t.Verified, n.Name)
		} else {
			t.Missing = append(t.Missing, Missing{n.Name, wave.Allows(r, n.Name), n.Failures, n.Err})
		}
	}
	return t
}

// WriteText writes a row a node, and a row a target, with what is missing below it.
func (s *Status) WriteText(w io.Writer) error {
	var b strings.Builder
	seat := "node " + s.Seat + " orders"
	if s.Seat == "" {
		seat = "no node orders"
	}
	fmt.Fprintf(&b, "fleet %s: %s\n\n", s.ID, seat)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tSTATE\tVERSION\tCLOCK\tBEHIND")
	for _, n := range s.Nodes {
		state := "alive"
		if !n.Alive {
			state = "away"
		}
		if n.Node == s.Seat {
			state += ", orders"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%+.0fs\t%d\n", n.Node, state, dash(n.Version), n.Clock, n.Behind)
	}
	fmt.Fprintln(table, "\t\t\t\t")
	fmt.Fprintln(table, "CERTIFICATE\tRELEASE\tVERIFIED\tUNTIL\t")
	for _, t := range s.Targets {
		until := "-"
		if !t.NotAfter.IsZero() {
			until = t.NotAfter.UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(table, "%s\t%d\t%d/%d\t%s\t\n", t.Target, t.Serial, len(t.Verified), len(t.Verified)+len(t.Missing), until)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		if n.Waits != "" {
			fmt.Fprintf(&b, "%s leaves ordering to others: %s\n", n.Node, n.Waits)
		}
	}
	for _, t := range s.Targets {
		for _, line := range t.lines() {
			fmt.Fprintf(&b, "%s: %s\n", t.Target, line)
		}
	}
	_, err := io.WriteString(w, textfmt.Printable(b.String()))
	return err
}

// lines say what is missing.
func (t TargetStatus) lines() (lines []string) {
	if t.Held != "" {
		lines = append(lines, "held: "+t.Held+"; to go on: keypaird fleet go "+t.Target)
	}
	for _, m := range t.Missing {
		switch {
		case t.Serial == 0:
		case m.Error != "":
			lines = append(lines, fmt.Sprintf("%s failed %d times: %s", m.Node, m.Failures, m.Error))
		case m.Allowed:
			lines = append(lines, m.Node+" has not verified it yet")
		default:
			lines = append(lines, m.Node+" waits for its wave")
		}
	}
	return lines
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
