package fleet

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

const (
	vacantFor  = 45 * time.Second // how long a node is waited for that sits
	answerWait = time.Minute      // for what needs no order
	askEvery   = 2 * time.Second
)

// change asks for a change of releases.
func (c *Command) change(ctx context.Context, do document.Verb, names []string) error {
	if len(names) == 0 {
		return cli.Usage(fmt.Sprintf("fleet %s takes the names of certificates", do))
	}
	cfg, err := c.owned()
	if err != nil {
		return err
	}
	reason := c.reason
	if do == document.Hold && reason == "" {
		reason = "asked for on node " + cfg.Fleet.Node
	}
	answer, err := c.Ask(ctx, cfg, names, document.Ask{Do: do, Reason: reason, Force: c.force})
	if err != nil {
		return err
	}
	return c.print(answer, "")
}

// remove asks for all keys to be sealed without a node, which [fleet.nodes] no longer has.
func (c *Command) remove(ctx context.Context, nodes []string) error {
	if len(nodes) != 1 {
		return cli.Usage("fleet remove takes the name of a node")
	}
	node := nodes[0]
	cfg, err := c.owned()
	switch {
	case err != nil:
		return err
	case cfg.Fleet.Nodes.Members()[node] != nil:
		return problem.Newf("take its line out of [fleet.nodes] on every node, and reload keypaird there; then run this again", "[fleet.nodes] still has %q", node)
	}
	if err := document.CheckName(node); err != nil {
		return err
	}
	answer, err := c.Ask(ctx, cfg, nil, document.Ask{Do: document.Remove, Node: node, Compromised: c.compromised})
	if err != nil {
		return err
	}
	script, comment := etcdctlRemove(cfg.Fleet, node), ""
	if script != "" {
		comment = "# " // all that is printed is a script
	}
	failed := c.print(answer, comment)
	if failed == nil {
		script = comment + node + ": removed, no key is sealed to it\n" + script
	}
	if _, err := io.WriteString(c.Stdout, script); err != nil {
		return err
	}
	if c.compromised {
		c.Hint("if the node was in order, it has the keys of the accounts, too: run keypaird account rollover with the name of each CA")
	} else {
		c.Hint("the node has the keys that it had: if they may be in wrong hands, keypaird fleet remove -compromised " + node + " orders others")
	}
	return failed
}

// print prints what was done, each line after before. The error says what failed.
func (c *Command) print(a document.Answer, before string) error {
	var failed []error
	for _, o := range a.Outcomes {
		if o.Error != "" {
			failed = append(failed, problem.New(o.Target+": "+o.Error, o.Remedy))
			continue
		}
		if _, err := fmt.Fprint(c.Stdout, textfmt.Printable(fmt.Sprintf("%s%s: %s\n", before, o.Target, o.Why))); err != nil {
			return err
		}
	}
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return failed[0]
	}
	return problem.Newf(problem.Remedy(failed[0]), "%d certificates failed: first %w", len(failed), failed[0])
}

// Ask has the node in the seat do something for targets, all if there are no names, and
// returns its answer.
func (c *Command) Ask(ctx context.Context, cfg *config.Config, names []string, a document.Ask) (document.Answer, error) {
	var none document.Answer
	names, err := choose(slices.Sorted(maps.Keys(cfg.Audiences())), names)
	if err != nil {
		return none, err
	}
	identity, err := envelope.Read(cfg.State)
	if err != nil {
		return none, err
	}
	if err := CheckLine(cfg.Fleet.Node, identity, cfg.Fleet.Nodes.Members()); err != nil {
		return none, err
	}
	f, end, err := c.observe(ctx, cfg)
	if err != nil {
		return none, err
	}
	defer end()
	if a.Targets, err = serials(ctx, f, names); err != nil {
		return none, err
	}
	a.At = time.Now().UTC()
	wait := answerWait
	if a.Do == document.Issue || a.Do == document.Rollover || a.Compromised {
		wait = document.AskFor
	}
	return send(ctx, f, a, wait)
}

// serials returns those of the releases that targets have; 0: none.
func serials(ctx context.Context, f *fleet.Fleet, names []string) (map[string]uint64, error) {
	prefix := document.KindLive.Prefix()
	s, err := engine.Read(ctx, f.Engine, prefix)
	if err != nil {
		return nil, err
	}
	all := map[string]uint64{}
	for _, name := range names {
		all[name] = 0
	}
	for _, e := range s.Entries {
		name := strings.TrimPrefix(e.Key, prefix)
		if _, wanted := all[name]; !wanted {
			continue
		}
		r, _, err := fleet.Open(f, e, f.Order, document.Parse[document.Release])
		if err != nil {
			return nil, err
		}
		all[name] = r.Serial
	}
	return all, nil
}

// send writes an ask, and returns what is in its place once that is the answer.
func send(ctx context.Context, f *fleet.Fleet, a document.Ask, wait time.Duration) (answer document.Answer, err error) {
	op, err := f.Op(document.AskKey(f.Node, document.NewID()), a, nil, nil)
	if err != nil {
		return answer, err
	}
	lease, err := f.Engine.Lease(ctx, document.AskFor)
	if err != nil {
		return answer, err
	}
	op.Lease = lease.ID()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.Timeout)
		defer cancel()
		_, _ = f.Engine.Commit(ctx, nil, []engine.Op{{Key: op.Key}})
		_ = lease.End(ctx) // else it ends by itself
	}()
	if _, err := f.Engine.Commit(ctx, []engine.Condition{{Key: op.Key}}, []engine.Op{op}); err != nil {
		return answer, err
	}
	return await(ctx, f, op.Key, wait)
}

// await waits for the answer at a key.
func await(ctx context.Context, f *fleet.Fleet, key string, wait time.Duration) (answer document.Answer, err error) {
	began, sat := time.Now(), time.Now()
	for ctx.Err() == nil {
		s, err := engine.Read(ctx, f.Engine, key)
		for _, e := range s.Entries {
			if answer, _, err := fleet.Open(f, e, f.Order, document.Parse[document.Answer]); err == nil {
				return answer, problem.Wrap(errorOf(answer), answer.Remedy)
			}
		}
		node := f.Seat().Node
		if node != "" {
			sat = time.Now()
		}
		switch {
		case err == nil && node == "" && time.Since(sat) > vacantFor:
			return answer, problem.New("no node orders for the fleet, so that nobody answers", "start keypaird on a node of order: "+strings.Join(f.Order, ", "))
		case time.Since(began) > wait && err != nil:
			return answer, err
		case time.Since(began) > wait:
			return answer, problem.Newf("see its log, and keypaird fleet status", "node %s, which orders for the fleet, did not answer within %v", node, wait)
		}
		limited, cancel := context.WithTimeout(ctx, askEvery)
		for _, err := range f.Engine.Follow(limited, []string{key}, s.Revision) {
			if err != nil {
				<-limited.Done()
			}
			break
		}
		cancel()
	}
	return answer, ctx.Err()
}

// errorOf returns why nothing was done; nil: something was.
func errorOf(a document.Answer) error {
	if a.Error == "" {
		return nil
	}
	return problem.New(a.Error, a.Remedy)
}

// MayOrderAlone returns why this machine may not order without the engine of a fleet; nil:
// it may, while the engine cannot be used.
func MayOrderAlone(cfg *config.Config) error {
	switch {
	case !cfg.InFleet():
		return problem.New("this machine is in no fleet", "leave -alone out")
	case !cfg.OrdersHere():
		return problem.Newf("run it on one of "+strings.Join(cfg.Fleet.Order, ", "), "this node, %q, may not order", cfg.Fleet.Node)
	}
	return nil
}

// CheckUnusable returns nil if the engine of the fleet cannot be used: to read, to write, or
// to order, for no node takes the seat. It prints why. Else the error says who orders, and
// keypaird issue -alone is refused.
func (c *Command) CheckUnusable(ctx context.Context, cfg *config.Config) error {
	f, end, err := c.observe(ctx, cfg)
	if err != nil {
		return c.unusable(ctx, err)
	}
	defer end()
	limited, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	lease, err := f.Engine.Lease(limited, answerWait)
	if err != nil {
		return c.unusable(ctx, err)
	}
	_ = lease.End(limited) // else it ends by itself
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < vacantFor; {
		if node := f.Seat().Node; slices.Contains(f.Order, node) {
			return problem.New("the engine of the fleet can be used, and node "+node+" orders", "leave -alone out: keypaird issue asks that node")
		}
		select {
		case <-ctx.Done():
		case <-time.After(askEvery):
		}
	}
	return c.unusable(ctx, problem.New("no node takes the seat", "keypaird status -fleet shows the nodes that may order"))
}

// unusable prints why the engine cannot be used, unless ctx has ended.
func (c *Command) unusable(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		c.Hint("the engine of the fleet cannot be used: " + err.Error())
		if remedy := problem.Remedy(err); remedy != "" {
			c.Hint("remedy: " + remedy)
		}
	}
	return ctx.Err()
}
