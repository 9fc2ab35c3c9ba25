package renew

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"keypaird/renew/keypair"
)

// An unsaved record is one that the disk did not take. It is kept in memory, so
// that backoff and budget hold while this process lives.
type unsaved struct {
	record  Record      // nobody changes it
	instead fs.FileInfo // of what is on disk; nil: nothing that can be seen
}

// save keeps a record.
func (p *Pass) save(j *job) error {
	err := j.state.Record.save(p.Store, j.Name)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.unsaved, j.Name)
	if err != nil {
		if p.unsaved == nil {
			p.unsaved = map[string]unsaved{}
		}
		p.unsaved[j.Name] = unsaved{j.state.Record.clone(), onDisk(p.Store, j.Name)}
	}
	return err
}

// remember puts back what the disk did not take, and tries to write it again,
// unless somebody else, a command perhaps, has written a record since.
func (p *Pass) remember(j *job) {
	if j.broken != nil {
		return
	}
	p.mu.Lock()
	ours, ok := p.unsaved[j.Name]
	if ok && !same(ours.instead, onDisk(p.Store, j.Name)) {
		delete(p.unsaved, j.Name)
		ok = false
	}
	p.mu.Unlock()
	if !ok {
		return
	}
	j.state.Record = ours.record.clone()
	if err := p.save(j); err != nil {
		p.Log.Warn("record not written", "cert", j.Name, "err", err)
	}
}

// Look is the function Look with what the disk did not take: what this process
// knows. It may be called while the pass runs.
func (p *Pass) Look(store *keypair.Store, name string) (State, error) {
	s, err := Look(store, name)
	if err != nil {
		return s, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ours, ok := p.unsaved[name]; ok && same(ours.instead, onDisk(store, name)) {
		s.Record = ours.record
	}
	return s, nil
}

// clone is a record that has nothing in common with r that could be changed.
func (r Record) clone() Record {
	r.Orders, r.Deployments, r.Dane.Names = maps.Clone(r.Orders), maps.Clone(r.Deployments), maps.Clone(r.Dane.Names)
	return r
}

// onDisk is the record's file.
func onDisk(store *keypair.Store, name string) fs.FileInfo {
	info, err := os.Lstat(filepath.Join(store.Dir(name), recordFile))
	if err != nil {
		return nil
	}
	return info
}

// same reports whether a file was not replaced: a record is never changed in
// place.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}
