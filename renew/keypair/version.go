package keypair

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// A Version is one stored pair.
type Version struct {
	ID   string // "v000001"
	Dir  string // absolute path
	Pair *Pair

	// Skipped are the versions after this one that Newest passed over, each a
	// *BrokenError.
	Skipped []error
}

// A BrokenError reports a file of a store that does not hold what it should.
// It never wraps fs.ErrNotExist: the store is damaged, not empty.
type BrokenError struct {
	Path string
	Err  error
}

func (e *BrokenError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }

func (e *BrokenError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *BrokenError) Remedy() string {
	return "move " + e.Path + " out of the way or restore it from a backup, then: keypaird issue"
}

const (
	fullChainFile = "fullchain.pem"
	keyFile       = "privkey.pem"
)

type pemFile struct {
	name string
	data []byte
}

// files are the files of a version, the two that the others follow from first.
func (p *Pair) files() []pemFile {
	return []pemFile{
		{fullChainFile, p.FullChain()},
		{keyFile, p.Key()},
		{"cert.pem", p.Cert()},
		{"chain.pem", p.ChainPEM()},
		{"combined.pem", p.Combined()},
	}
}

// Live returns the live version of name: fs.ErrNotExist if there is none, a
// [*BrokenError] if what is live is not a whole, matching pair.
func (s *Store) Live(name string) (Version, error) {
	f, err := s.open(name)
	if err != nil {
		return Version{}, err
	}
	defer f.close()
	id, err := f.live()
	if err != nil {
		return Version{}, err
	}
	return f.load(id)
}

// Newest returns the newest version of name that is a whole, matching pair:
// fs.ErrNotExist if there is no version at all, a [*BrokenError] if all are
// broken. Broken ones it passes over are named in Skipped. A disk or a
// permission that keeps it from looking is an error: no reason to do without
// a version that may be good.
func (s *Store) Newest(name string) (Version, error) {
	f, err := s.open(name)
	if err != nil {
		return Version{}, err
	}
	defer f.close()
	var found Version
	skipped, err := f.newest(func(id string) (err error) {
		found, err = f.load(id)
		return err
	})
	found.Skipped = skipped
	return found, err
}

// Find returns the newest version of name whose leaf has the fingerprint:
// fs.ErrNotExist if there is none.
func (s *Store) Find(name, fingerprint string) (Version, error) {
	f, err := s.open(name)
	if err != nil {
		return Version{}, err
	}
	defer f.close()
	ids, err := f.versions()
	if err != nil {
		return Version{}, err
	}
	for _, n := range ids {
		var found Version
		_, fp, err := f.leaf(versionID(n))
		if err == nil && !strings.EqualFold(fp, fingerprint) {
			continue
		}
		if err == nil {
			found, err = f.load(versionID(n))
		}
		var broken *BrokenError
		if !errors.As(err, &broken) {
			return found, err
		}
	}
	return Version{}, fmt.Errorf("%s holds no version with fingerprint %.16s: %w", f.path, fingerprint, fs.ErrNotExist)
}

// LiveLeaf is the cheap look at the live version of name, for passes over
// thousands of them: its leaf, its ID and its fingerprint, without parsing the
// key and the rest of the chain. Errors are those of [Store.Live].
func (s *Store) LiveLeaf(name string) (leaf *x509.Certificate, version, fingerprint string, err error) {
	f, err := s.open(name)
	if err != nil {
		return nil, "", "", err
	}
	defer f.close()
	version, err = f.live()
	if err != nil {
		return nil, "", "", err
	}
	leaf, fingerprint, err = f.leaf(version)
	return leaf, version, fingerprint, err
}

// NewestLeaf is the cheap look at the newest version of name. It passes over
// truncated certificates and missing files; that a key is damaged only
// [Store.Newest] sees. Errors are those of [Store.Newest].
func (s *Store) NewestLeaf(name string) (leaf *x509.Certificate, version, fingerprint string, err error) {
	f, err := s.open(name)
	if err != nil {
		return nil, "", "", err
	}
	defer f.close()
	_, err = f.newest(func(id string) (err error) {
		version = id
		leaf, fingerprint, err = f.leaf(id)
		return err
	})
	if err != nil {
		version = ""
	}
	return leaf, version, fingerprint, err
}

// newest calls look for each version, newest first, until one is not broken.
func (f *folder) newest(look func(id string) error) (skipped []error, err error) {
	ids, err := f.versions()
	if err != nil {
		return nil, err
	}
	for _, n := range ids {
		err := look(versionID(n))
		var broken *BrokenError
		if !errors.As(err, &broken) {
			return skipped, err
		}
		skipped = append(skipped, err)
	}
	if len(skipped) > 0 {
		return nil, skipped[0]
	}
	return nil, fmt.Errorf("%s holds no version: %w", f.path, fs.ErrNotExist)
}

// versions are the numbers of all versions, highest first.
func (f *folder) versions() ([]int, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, name := range names {
		if n := number(name); n > 0 {
			ids = append(ids, n)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}

// highest is the highest number that was ever given to a version.
func (f *folder) highest() (int, error) {
	ids, err := f.versions()
	if err != nil {
		return 0, err
	}
	n := 0
	if len(ids) > 0 {
		n = ids[0]
	}
	// What is live had a number even if somebody removed it.
	if target, err := f.root.Readlink(liveLink); err == nil {
		n = max(n, number(target))
	}
	return n, nil
}

// live is the ID that the live link names.
func (f *folder) live() (string, error) {
	path := f.at(liveLink)
	target, err := f.root.Readlink(liveLink)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &ReadError{path, cause(err), "reading"}
	case err != nil:
		if info, e := f.lstat(liveLink); e == nil && info.Mode().Type() != fs.ModeSymlink {
			return "", &BrokenError{path, errors.New("is not a symbolic link")}
		}
		return "", &ReadError{path, cause(err), "reading"}
	case number(target) == 0:
		return "", &BrokenError{path, fmt.Errorf("points to %.100q, not to a version", target)}
	}
	return target, nil
}

// load reads and verifies version id.
func (f *folder) load(id string) (Version, error) {
	v, err := f.version(id)
	if err != nil {
		return Version{}, err
	}
	defer v.close()
	chain, err := v.part(fullChainFile, maxChainBytes)
	if err != nil {
		return Version{}, err
	}
	key, err := v.part(keyFile, maxKeyBytes)
	if err != nil {
		return Version{}, err
	}
	p, err := Parse(chain, key)
	if err != nil {
		return Version{}, &BrokenError{v.path, err}
	}
	for _, file := range p.files()[2:] {
		data, err := v.part(file.name, maxStateFile)
		if err != nil {
			return Version{}, err
		}
		if !bytes.Equal(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), file.data) {
			return Version{}, &BrokenError{v.at(file.name), errors.New("does not belong to " + fullChainFile + " and " + keyFile)}
		}
	}
	return Version{ID: id, Dir: v.path, Pair: p}, nil
}

// LiveID is the ID of the live version of name: fs.ErrNotExist if there is
// none. It reads the link and nothing else.
func (s *Store) LiveID(name string) (string, error) {
	f, err := s.open(name)
	if err != nil {
		return "", err
	}
	defer f.close()
	return f.live()
}
