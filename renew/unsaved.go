package renew

import (
	"io/fs"
	"os"
	"path/filepath"
)

// An unsaved record is one that the disk did not take. It is kept in memory, so
// that backoff and budget hold while this process lives.
type unsaved struct {
	record  Record
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
		p.unsaved[j.Name] = unsaved{j.state.Record, p.onDisk(j.Name)}
	}
	return err
}

// remember puts back what the disk did not take, and tries to write it again,
// unless somebody else, a command perhaps, has written a record since.
func (p *Pass) remember(j *job) {
	ours, ok := p.unsaved[j.Name]
	if !ok || j.broken != nil {
		return
	}
	if now := p.onDisk(j.Name); !same(ours.instead, now) {
		delete(p.unsaved, j.Name)
		return
	}
	j.state.Record = ours.record
	if err := p.save(j); err != nil {
		p.Log.Warn("record not written", "cert", j.Name, "err", err)
	}
}

// onDisk is the record's file.
func (p *Pass) onDisk(name string) fs.FileInfo {
	info, err := os.Lstat(filepath.Join(p.Store.Dir(name), recordFile))
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
