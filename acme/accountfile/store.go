package accountfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"keypaird/renew/durable"
)

// A Store keeps the parts of an account by name.
type Store interface {
	// Load returns a part, or an error that is fs.ErrNotExist.
	Load(part string) ([]byte, error)
	// Save returns once the part survives a crash of the machine.
	Save(part string, data []byte) error
	// Rename renames a part, and replaces one that has the new name. A part that is not
	// there is no error.
	Rename(part, name string) error
	// Remove removes a part.
	Remove(part string) error
	// Mark changes when another process changes a part.
	Mark() string
	// Where names a part in messages, or with "" the whole.
	Where(part string) string
}

// Names of the parts of an account.
const (
	AccountPart = "account.json"
	KeyPart     = "key.pem"
	NewKeyPart  = "newkey.pem"
)

// Parts are the parts of an account in the order in which they are copied: newkey.pem first,
// since key.pem may be replaced by another key and kept there; account.json last, so that
// without it the others are not missed.
var Parts = []string{NewKeyPart, KeyPart, AccountPart}

// A Dir is a directory as Store: each part is a file.
type Dir string

// Where implements Store.
func (d Dir) Where(part string) string { return filepath.Join(string(d), part) }

// Load implements Store.
func (d Dir) Load(part string) ([]byte, error) { return Read(d.Where(part)) }

// Save implements Store. It makes the directory.
func (d Dir) Save(part string, data []byte) error {
	if err := durable.MakeDir(string(d)); err != nil {
		return fmt.Errorf("making the account's directory: %w", err)
	}
	return durable.WriteFile(d.Where(part), data, durable.Private)
}

// Rename implements Store.
func (d Dir) Rename(part, name string) error {
	err := os.Rename(d.Where(part), d.Where(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(string(d))
}

// Remove implements Store.
func (d Dir) Remove(part string) error {
	if err := os.Remove(d.Where(part)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Mark implements Store, by the sizes and times of the files.
func (d Dir) Mark() string {
	var mark strings.Builder
	for _, part := range []string{AccountPart, KeyPart} {
		if info, err := os.Stat(d.Where(part)); err == nil {
			fmt.Fprintln(&mark, info.Size(), info.ModTime().UnixNano())
		}
	}
	return mark.String()
}

const maxFile = 1 << 20

// Read reads a file that only keypaird writes.
func Read(path string) ([]byte, error) {
	data, _, err := durable.ReadFile(path, maxFile, durable.Owned)
	return data, err
}
