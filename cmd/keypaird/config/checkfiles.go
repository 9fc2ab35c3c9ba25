package config

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"keypaird/hooks"
)

// A written is a file and who writes it.
type written struct{ target, deployment, key string }

// files notes where a target is deployed to, and refuses a file that two
// targets or deployments would write, or that is not theirs to write.
func (c *checker) files(p path, t Target, writers map[string]written, told map[string]bool) {
	for i, name := range t.Deploy {
		if c.unsound[name] || slices.Contains(t.Deploy[:i], name) {
			continue
		}
		d := c.cfg.Deployment(name)
		for _, f := range []struct{ key, template string }{{"chain", d.Chain}, {"key", d.Key}, {"combined", d.Combined}} {
			for _, file := range (&hooks.Deployment{Chain: f.template}).Paths(t.Name) {
				by := written{t.Name, name, f.key}
				if remedy, problem := c.clashes(file, by, writers); problem != "" && !told[name+" "+f.key] {
					c.wrong(c.settingOf(p, by), remedy, "%s", problem)
					told[name+" "+f.key] = true // for one of perhaps thousands of targets
				}
			}
		}
	}
}

// clashes says what is wrong with writing a file, or nothing.
func (c *checker) clashes(file string, by written, writers map[string]written) (remedy, problem string) {
	first, taken := writers[file]
	if !taken {
		writers[file] = by
	}
	self, _ := filepath.Abs(c.file)
	switch {
	case taken && first.target == by.target && first.deployment == by.deployment:
		return "give each a file of its own, or use combined for key and chain in one", file + " would hold both " + first.key + " and " + by.key
	case taken && first.target == by.target:
		return "give each deployment files of its own", file + " would be written for [deploy." + first.deployment + "] and [deploy." + by.deployment + "]"
	case taken:
		return "put {name} into the path: each target needs a file of its own", file + " would be written for the targets " + strconv.Quote(first.target) + " and " + strconv.Quote(by.target)
	case strings.HasPrefix(file, c.cfg.State+"/"):
		return "write elsewhere, or let the server read " + filepath.Join(c.cfg.State, "certs", by.target, "live"), file + " lies in the state directory, which is keypaird's own"
	case file == self:
		return "write elsewhere", file + " is the configuration itself"
	}
	return "", ""
}

// settingOf returns where the file says what a deployment writes: in its table,
// or where a target names a preset.
func (c *checker) settingOf(target path, by written) path {
	table := path{"deploy", by.deployment}
	switch {
	case c.isSet(table.in(by.key)):
		return table.in(by.key)
	case c.isSet(table):
		return table
	}
	return target.in("deploy")
}
