package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
)

// key makes this machine's key, if it has none, and prints its line. The configuration
// may lack the line still, and with it much that is checked.
func (c *Command) key() error {
	o := c.options
	o.OnlyState, o.NoSecrets = true, true
	cfg, err := config.Load(o)
	if err != nil {
		return err
	}
	node, err := c.nodeName(cfg)
	if err != nil {
		return err
	}
	if err := launch.BecomeOwner(cfg.State); err != nil {
		return err
	}
	i, err := envelope.Read(cfg.State)
	fresh := errors.Is(err, fs.ErrNotExist)
	switch {
	case fresh:
		i, err = envelope.Generate()
	case err == nil && c.rotate:
		i, err = rotate(i, cfg.Fleet.Nodes.Members()[node])
	}
	if err == nil && (fresh || c.rotate) {
		err = i.Save(cfg.State)
	}
	if err != nil {
		return err
	}
	if hint := nextStep(i, cfg.Fleet.Nodes.Members()[node]); hint != "" {
		c.Hint(hint)
	}
	_, err = fmt.Fprintln(c.Stdout, nodeLine(node, i.Publics()))
	return err
}

// nodeName returns the name of this machine in the fleet.
func (c *Command) nodeName(cfg *config.Config) (string, error) {
	host := cfg.Fleet.Node
	if host == "" {
		name, err := c.options.Hostname()
		if err != nil {
			return "", problem.Newf("set node in [fleet]", "the name of this machine is not known: %w", err)
		}
		host, _, _ = strings.Cut(strings.ToLower(name), ".")
	}
	return host, problem.Wrap(document.CheckName(host), "set node in [fleet] to a name of a-z 0-9 . _ -")
}

// rotate adds a second key, or removes the first once [fleet.nodes], which lists some, has
// it no longer.
func rotate(i *envelope.Identity, listed []envelope.Public) (*envelope.Identity, error) {
	keys := i.Publics()
	switch {
	case len(keys) == 1:
		return i.Rotate()
	case !slices.Contains(listed, i.Public()):
		return nil, problem.New("this machine has a second key already, which [fleet.nodes] does not have",
			"keypaird fleet key prints a line with both: put it into [fleet.nodes] on every node")
	case slices.Contains(listed, keys[0]):
		return nil, problem.New("this machine has a second key already, and [fleet.nodes] still has the first",
			"when every node has run with both for some minutes, leave only the last in [fleet.nodes] on every node, and then run this again")
	}
	return i.Newest(), nil
}

// nextStep says what is left to do with the key.
func nextStep(i *envelope.Identity, listed []envelope.Public) string {
	keys := i.Publics()
	missing := slices.ContainsFunc(keys, func(p envelope.Public) bool { return !slices.Contains(listed, p) })
	switch {
	case len(keys) == 1 && missing:
		return "put this line below [fleet.nodes] on every node, and reload keypaird there"
	case len(keys) == 2 && slices.Contains(listed, i.Public()) && missing:
		return "[fleet.nodes] has the new key alone: keypaird fleet key -rotate removes the first here"
	case len(keys) == 2 && missing:
		return "put this line in place of the one below [fleet.nodes] on every node, and reload keypaird there"
	case len(keys) == 2:
		return "when every node has run with both for some minutes, leave only the last in [fleet.nodes] on every node; then: keypaird fleet key -rotate"
	case len(listed) > len(keys):
		return "the key is exchanged: leave only this line in [fleet.nodes] on every node"
	}
	return ""
}

// nodeLine returns the line of a node as [fleet.nodes] has it.
func nodeLine(node string, keys []envelope.Public) string {
	name := node
	if strings.Contains(name, ".") {
		name = tomltext.Quote(name)
	}
	var lines []string
	for _, key := range keys {
		lines = append(lines, key.String())
	}
	if len(lines) == 1 {
		return name + " = " + tomltext.Quote(lines[0])
	}
	return name + " = " + tomltext.QuoteAll(lines)
}
