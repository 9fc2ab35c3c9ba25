package unconfigured

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// Remove removes the stored versions and, with files, the deployed files that still hold
// the pair, first: as long as the pair is stored it can be called again. It returns the
// paths that it removed. The caller holds the state lock.
func (c Certificate) Remove(files bool) (removed []string, err error) {
	if files {
		for _, file := range c.Files() {
			err := removeFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return removed, err
			}
			removed = append(removed, file)
		}
	}
	if err := c.store.Remove(c.Name); err != nil {
		return removed, err
	}
	return append(removed, c.store.Dir(c.Name)), nil
}

// removeFile removes a file, durably.
func removeFile(path string) error {
	dir := filepath.Dir(path)
	if err := durable.CheckDir(dir); err != nil {
		return fmt.Errorf("removing %s: %w", path, err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return problem.Newf("remove it by hand, then run this again", "removing %s: it %w", path, durable.ErrNotRegular)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}
