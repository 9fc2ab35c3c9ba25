package unconfigured

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pkcs12"
)

// A Certificate is the stored certificate of a target that is no longer configured.
type Certificate struct {
	Name        string          // of the target
	Version     keypair.Version // live, or the newest if none is; Pair is nil if none can be used
	Record      renew.Record
	Deployments []Deployment // those with files that still hold the pair

	wroteFiles bool // some deployment did
	store      *keypair.Store
}

// A Deployment lists the files that still hold the pair that it deployed.
type Deployment struct {
	Name  string
	Files []string // absolute
}

// Find returns the stored certificates of targets that are not among those configured,
// sorted by name. Those that cannot be read are left out; the error says why.
func Find(store *keypair.Store, configured []renew.Target) ([]Certificate, error) {
	known := make(map[string]bool, len(configured))
	for _, t := range configured {
		known[t.Name] = true
	}
	names, err := store.List(known)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	deployers, owned := deployersOf(configured)
	var list []Certificate
	var errs []error
	for _, name := range names {
		c, err := load(store, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading what is stored of %q, which is not configured any more: %w", name, err))
			continue
		}
		c.findFiles(deployers, owned)
		list = append(list, c)
	}
	return list, errors.Join(errs...)
}

// deployersOf returns the deployers of targets by name, and the files that these
// targets own.
func deployersOf(targets []renew.Target) (deployers map[string]renew.Deployer, owned map[string]bool) {
	deployers, owned = map[string]renew.Deployer{}, map[string]bool{}
	for _, t := range targets {
		for _, d := range t.Deploy {
			deployers[d.String()] = d
			for _, file := range d.Paths(t.Name) {
				owned[file] = true
			}
		}
	}
	return deployers, owned
}

// load reads the stored versions, except those that cannot be used.
func load(store *keypair.Store, name string) (Certificate, error) {
	c := Certificate{Name: name, store: store}
	var err error
	if c.Record, err = renew.LoadRecord(store, name); err != nil && !keypair.None(err) {
		return c, err
	}
	if c.Version, err = store.Live(name); err != nil {
		c.Version, err = store.Newest(name)
	}
	if err != nil && !keypair.None(err) {
		return c, err
	}
	return c, nil
}

// findFiles finds the deployed files that still hold the pair. Beside the recorded
// files, it looks where the deployments of today would write: the record may be lost.
func (c *Certificate) findFiles(deployers map[string]renew.Deployer, owned map[string]bool) {
	for _, d := range c.Record.Deployments {
		c.wroteFiles = c.wroteFiles || len(d.Files) > 0
	}
	if c.Version.Pair == nil {
		return
	}
	paths := map[string][]string{}
	for name, d := range c.Record.Deployments {
		paths[name] = slices.Clone(d.Files)
	}
	for name, d := range deployers {
		paths[name] = append(paths[name], d.Paths(c.Name)...)
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		pair, found := c.pairOf(name), Deployment{Name: name}
		for _, file := range paths[name] {
			if !seen[file] && !owned[file] && holds(file, pair) {
				found.Files = append(found.Files, file)
			}
			seen[file] = true
		}
		if len(found.Files) > 0 {
			c.Deployments, c.wroteFiles = append(c.Deployments, found), true
		}
	}
}

// pairOf returns the pair that a deployment brought into use.
func (c *Certificate) pairOf(deployment string) *keypair.Pair {
	fingerprint := c.Record.Deployments[deployment].Deployed
	if fingerprint != "" && fingerprint != c.Version.Pair.Fingerprint() {
		if v, err := c.store.Find(c.Name, fingerprint); err == nil {
			return v.Pair
		}
	}
	return c.Version.Pair
}

// maxFile bounds how much of a deployed file is read.
const maxFile = 1 << 20

// holds reports whether a file is one of those that are written for a pair.
func holds(path string, p *keypair.Pair) bool {
	data, _, err := durable.ReadFile(path, maxFile, durable.Any)
	if err != nil {
		return false
	}
	is := func(text []byte) bool { return bytes.Equal(data, text) }
	return is(p.FullChain()) || is(p.Combined()) || is(p.Key()) || is(p.Cert()) ||
		len(p.Chain) > 0 && is(p.ChainPEM()) || pkcs12.Names(data, p.Leaf)
}

// Files lists the deployed files that still hold the pair.
func (c Certificate) Files() []string {
	var files []string
	for _, d := range c.Deployments {
		files = append(files, d.Files...)
	}
	return files
}

// InUse lists the files from which servers may still read the certificate: those of
// deployments or, if no deployment wrote any, those in the store. It is not in use
// if there are none.
func (c Certificate) InUse() []string {
	if c.Version.Pair == nil || c.wroteFiles {
		return c.Files()
	}
	return []string{filepath.Join(c.store.Dir(c.Name), "live")}
}

// TargetState returns the certificate as a target that is no longer configured. It
// must have a version.
func (c Certificate) TargetState() renew.TargetState {
	leaf := c.Version.Pair.Leaf
	return renew.TargetState{
		Target: renew.Target{Name: c.Name, Names: keypair.Names(leaf), KeyType: keypair.KeyType(leaf.PublicKey), Unconfigured: c.InUse()},
		State: renew.State{
			Leaf: leaf, Version: c.Version.ID, Fingerprint: c.Version.Pair.Fingerprint(), Live: true, InUse: leaf, Record: c.Record,
		},
	}
}
