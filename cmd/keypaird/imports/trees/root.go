package trees

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

const (
	maxFile    = 1 << 20
	maxEntries = 20000 // of one directory
)

// A root is an open tree. Names are relative to it.
type root struct {
	dir  string // as the operator or the client names it
	real string // without symbolic links

	// lax: the tree belongs to the user of a server. It is held together by [os.Root]
	// alone, and nothing in it names what is written or run.
	lax bool
}

// open opens the tree in dir.
func open(dir string, lax bool) (*root, error) {
	if !lax {
		if err := durable.CheckDir(dir); err != nil {
			return nil, err
		}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(real); err != nil || !info.IsDir() {
		return nil, problem.New(dir+" is not a directory", "name the directory with -dir")
	}
	return &root{dir, real, lax}, nil
}

// at returns the path of name for messages and for the configuration.
func (r *root) at(name string) string { return filepath.Join(r.dir, name) }

// rel returns the name of an absolute path inside the tree.
func (r *root) rel(path string) (name string, inside bool) {
	for _, dir := range []string{r.dir, r.real} {
		if rest, ok := strings.CutPrefix(filepath.Clean(path), strings.TrimSuffix(dir, "/")+"/"); ok {
			return rest, true
		}
	}
	return "", false
}

// read returns the content of a file of at most limit bytes.
func (r *root) read(name string, limit int) ([]byte, error) {
	if !filepath.IsLocal(name) {
		return nil, problem.Newf("name a file inside it", "leads out of %s", r.dir)
	}
	if r.lax {
		return r.readLax(name, limit)
	}
	path, err := r.resolve(name)
	if err != nil {
		return nil, err
	}
	return readOurs(path, limit)
}

// resolve returns the path of name without symbolic links, which has to be inside the
// tree, and not to be changed by other users.
func (r *root) resolve(name string) (string, error) {
	path, err := durable.CheckFile(filepath.Join(r.real, name))
	if err != nil {
		return "", err
	}
	if path != r.real && !strings.HasPrefix(path, strings.TrimSuffix(r.real, "/")+"/") {
		return "", problem.Newf("put the file itself there", "leads out of %s, to %s", r.dir, path)
	}
	return path, nil
}

// readOurs reads a file that only root and this user can change.
func readOurs(path string, limit int) ([]byte, error) {
	data, info, err := durable.ReadFile(path, limit, durable.NoLink)
	if info != nil && info.Mode().IsRegular() {
		uid, ours := durable.Owner(info)
		switch perm := info.Mode().Perm(); {
		case !ours:
			return nil, problem.Newf(fmt.Sprintf("chown %d %s, or run this as user %d", os.Geteuid(), path, uid), "belongs to user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid())
		case perm&0o022 != 0:
			return nil, problem.Newf("chmod go-w "+path, "can be written by others (mode %04o)", perm)
		}
	}
	return data, err
}

// readLax reads a file that may belong to the user of a server.
func (r *root) readLax(name string, limit int) ([]byte, error) {
	top, err := os.OpenRoot(r.real)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	info, err := top.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, durable.ErrNotRegular
	}
	f, err := top.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("is larger than %d KiB", limit>>10)
	}
	return data, err
}

// openDir opens a directory, and nothing else: to open a device may do something.
func (r *root) openDir(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NONBLOCK
	if !r.lax {
		return os.OpenFile(filepath.Join(r.real, name), flags, 0)
	}
	top, err := os.OpenRoot(r.real)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	return top.OpenFile(name, flags, 0)
}

// names lists a directory, sorted. One that does not exist has none.
func (r *root) names(name string) ([]string, error) {
	dir, err := r.openDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	list, err := dir.Readdirnames(maxEntries + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(list) > maxEntries {
		return nil, fmt.Errorf("has more than %d entries", maxEntries)
	}
	slices.Sort(list)
	return list, err
}

// has reports whether there is a file, of whatever kind.
func (r *root) has(name string) bool {
	_, err := os.Lstat(filepath.Join(r.real, name))
	return err == nil
}

// isDir reports whether there is a directory.
func (r *root) isDir(name string) bool {
	info, err := os.Stat(filepath.Join(r.real, name))
	return err == nil && info.IsDir()
}

// readJSON reads a file into v.
func (r *root) readJSON(name string, v any) error {
	data, err := r.read(name, maxFile)
	if err != nil {
		return err
	}
	if json.Unmarshal(data, v) != nil {
		return problem.New("is not the JSON that was expected", "restore it from a backup")
	}
	return nil
}

// key reads a private key in PEM.
func (t *Tree) key(r *root, a *Account, name string) bool {
	a.File = r.at(name)
	data, err := r.read(name, maxFile)
	if err == nil {
		a.Key, err = keypair.ParseKey(bytes.TrimSpace(data))
	}
	if err != nil {
		t.fault(a.ID, a.File, 0, err)
	}
	return err == nil
}

// onlyCertificates returns the certificates in data: clients write remarks between them.
func onlyCertificates(data []byte) []byte {
	var out []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return out
}

// pathError returns the error about a file that another one names.
func pathError(path string, err error) error {
	return fmt.Errorf("names %s: %w", path, durable.Cause(err))
}
