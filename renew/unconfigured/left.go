package unconfigured

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
)

// A LeftFile is a file that a deployment of a configured target wrote before the
// configuration moved it. It is not updated any more, and servers may still read it.
type LeftFile struct {
	Path       string    `json:"path"`
	Deployment string    `json:"deployment"`
	NotAfter   time.Time `json:"not_after"` // of the pair that it still holds
}

// Left returns the files that deployments of t wrote, that none of the configured
// targets writes any more, and that still hold a pair of t.
func Left(store *keypair.Store, configured []renew.Target, t renew.Target, rec renew.Record) []LeftFile {
	var owned map[string]bool // found only if there is something to compare with
	var list []LeftFile
	for _, name := range slices.Sorted(maps.Keys(rec.Deployments)) {
		d := rec.Deployments[name]
		files := map[string]string{}
		for _, file := range d.Files {
			files[file] = d.Deployed
		}
		maps.Copy(files, d.Left)
		for _, deployer := range t.Deploy {
			for _, file := range deployer.Paths(t.Name) {
				delete(files, file)
			}
		}
		for _, file := range slices.Sorted(maps.Keys(files)) {
			if owned == nil {
				_, owned = deployersOf(configured)
			}
			v, err := store.Find(t.Name, files[file])
			if err == nil && !owned[file] && holds(file, v.Pair) {
				list = append(list, LeftFile{file, name, v.Pair.Leaf.NotAfter.UTC()})
			}
		}
	}
	return list
}

// RemoveLeft forgets the files that Left returns for t and, if files is set, removes
// them first. It returns what it removed. The caller holds the state lock.
func RemoveLeft(store *keypair.Store, configured []renew.Target, t renew.Target, files bool) (removed, left []string, err error) {
	rec, err := renew.LoadRecord(store, t.Name)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range Left(store, configured, t, rec) {
		if !files {
			left = append(left, f.Path)
			continue
		}
		if err := removeFile(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, left, err
		}
		removed = append(removed, f.Path)
	}
	for name, d := range rec.Deployments {
		i := slices.IndexFunc(t.Deploy, func(other renew.Deployer) bool { return other.String() == name })
		if i < 0 {
			delete(rec.Deployments, name)
			continue
		}
		now := t.Deploy[i].Paths(t.Name)
		d.Left, d.Files = nil, slices.DeleteFunc(slices.Clone(d.Files), func(file string) bool { return !slices.Contains(now, file) })
		rec.Deployments[name] = d
	}
	return removed, left, new(renew.Records).SaveDurably(store, t.Name, rec)
}
