package keypair

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"

	"keypaird/renew/durable"
)

// A Version is one stored pair.
type Version struct {
	ID   string // "v000001"
	Dir  string // absolute path
	Pair *Pair

	// Skipped are the versions after this one that Newest passed over, each a
	// *durable.BrokenError.
	Skipped []error
}

const (
	fullChainFile = "fullchain.pem"
	keyFile       = "privkey.pem"
	certFile      = "cert.pem"
	chainFile     = "chain.pem"
	combinedFile  = "combined.pem"
)

// files are the files of a version, the two that the others follow from first.
func (p *Pair) files() []durable.File {
	return []durable.File{
		{Name: fullChainFile, Data: p.FullChain()},
		{Name: keyFile, Data: p.Key()},
		{Name: certFile, Data: p.Cert()},
		{Name: chainFile, Data: p.ChainPEM()},
		{Name: combinedFile, Data: p.Combined()},
	}
}

// Live returns the live version of name: fs.ErrNotExist if there is none, a
// [*durable.BrokenError] if what is live is not a whole, matching pair.
func (s *Store) Live(name string) (Version, error) {
	f, err := s.open(name)
	if err != nil {
		return Version{}, err
	}
	defer f.Close()
	id, err := f.live()
	if err != nil {
		return Version{}, err
	}
	return f.load(id)
}

// Newest returns the newest version of name that is a whole, matching pair:
// fs.ErrNotExist if there is no version at all, a [*durable.BrokenError] if all are
// broken. Broken ones it passes over are named in Skipped. A disk or a
// permission that keeps it from looking is an error: no reason to do without
// a version that may be good.
func (s *Store) Newest(name string) (Version, error) {
	f, err := s.open(name)
	if err != nil {
		return Version{}, err
	}
	defer f.Close()
	return f.newestVersion()
}

func (d nameDir) newestVersion() (found Version, err error) {
	skipped, err := d.newest(func(id string) (err error) {
		found, err = d.load(id)
		return err
	})
	found.Skipped = skipped
	return found, err
}

// Find returns the newest version of name with a leaf of the fingerprint:
// fs.ErrNotExist if there is none.
func (s *Store) Find(name, fingerprint string) (Version, error) {
	f, err := s.open(name)
	if err != nil {
		return Version{}, err
	}
	defer f.Close()
	ids, err := f.versions()
	if err != nil {
		return Version{}, err
	}
	for _, n := range ids {
		var found Version
		leaf, err := f.leaf(versionID(n))
		if err == nil && !strings.EqualFold(leaf.fingerprint, fingerprint) {
			continue
		}
		if err == nil {
			found, err = f.load(versionID(n))
		}
		var broken *durable.BrokenError
		if !errors.As(err, &broken) {
			return found, err
		}
	}
	return Version{}, fmt.Errorf("%s holds no version with fingerprint %.16s: %w", f.Path(), fingerprint, fs.ErrNotExist)
}

// LiveLeaf is the cheap look at the live version of name, for passes over
// thousands of them: its leaf, its ID and its fingerprint, without parsing the
// key and the rest of the chain. Errors are those of [Store.Live].
func (s *Store) LiveLeaf(name string) (leaf *x509.Certificate, version, fingerprint string, err error) {
	f, err := s.open(name)
	if err != nil {
		return nil, "", "", err
	}
	defer f.Close()
	version, err = f.live()
	if err != nil {
		return nil, "", "", err
	}
	found, err := f.leaf(version)
	return found.Certificate, version, found.fingerprint, err
}

// NewestLeaf is the cheap look at the newest version of name. It passes over
// truncated certificates and missing files; that a key is damaged only
// [Store.Newest] sees. Errors are those of [Store.Newest].
func (s *Store) NewestLeaf(name string) (leaf *x509.Certificate, version, fingerprint string, err error) {
	f, err := s.open(name)
	if err != nil {
		return nil, "", "", err
	}
	defer f.Close()
	found, version, _, err := f.newestLeaf()
	return found.Certificate, version, found.fingerprint, err
}

// newestLeaf returns the leaf of the newest usable version, and the versions from there on that
// seem damaged.
func (d nameDir) newestLeaf() (leaf storedLeaf, version string, damaged []string, err error) {
	_, err = d.newest(func(id string) (err error) {
		version = id
		if leaf, err = d.leaf(id); !leaf.intact {
			damaged = append(damaged, id)
		}
		return err
	})
	if err != nil {
		version = ""
	}
	return leaf, version, damaged, err
}

// A Look is what a pass needs to know of a name.
type Look struct {
	File        []byte            // content of the file asked for; nil if there is none
	Leaf        *x509.Certificate // of the newest version; nil if none can be used
	Version     string            // of Leaf
	Fingerprint string            // of Leaf
	InUse       *x509.Certificate // of the live version; nil if there is none that can be used
	Live        bool              // the newest version is the live one
	Damaged     []string          // of the newest usable version, broken ones after it and the live one: those that seem damaged
}

// Look is [Store.ReadFile] of file, [Store.NewestLeaf] and [Store.LiveLeaf] with the
// directory of name opened once. It fails if the file is there but cannot be read, or
// if a version that may be good cannot.
func (s *Store) Look(name, file string) (l Look, err error) {
	f, err := s.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	defer f.Close()
	if l.File, err = f.Read(file, maxStateFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l, err
	}
	leaf, version, damaged, err := f.newestLeaf()
	l.Leaf, l.Version, l.Fingerprint, l.Damaged = leaf.Certificate, version, leaf.fingerprint, damaged
	if err != nil {
		return l, usable(err)
	}
	live, err := f.live()
	if l.Live = err == nil && live == l.Version; l.Live {
		l.InUse = l.Leaf
	} else if err == nil {
		leaf, err = f.leaf(live)
		if l.InUse = leaf.Certificate; !leaf.intact && !slices.Contains(damaged, live) {
			l.Damaged = append(damaged, live)
		}
	}
	return l, usable(err)
}

// usable returns err unless it means that nothing is stored that can be used.
func usable(err error) error {
	if None(err) {
		return nil
	}
	return err
}

// None reports whether err means that nothing usable is stored, rather than that the
// disk could not be read.
func None(err error) bool {
	_, broken := errors.AsType[*durable.BrokenError](err)
	return broken || errors.Is(err, fs.ErrNotExist)
}

// newest calls look for each version, newest first, until one is not broken.
func (d nameDir) newest(look func(id string) error) (skipped []error, err error) {
	ids, err := d.versions()
	if err != nil {
		return nil, err
	}
	for _, n := range ids {
		err := look(versionID(n))
		var broken *durable.BrokenError
		if !errors.As(err, &broken) {
			return skipped, err
		}
		skipped = append(skipped, err)
	}
	if len(skipped) > 0 {
		return nil, skipped[0]
	}
	return nil, fmt.Errorf("%s holds no version: %w", d.Path(), fs.ErrNotExist)
}

// versions are the numbers of all versions, highest first.
func (d nameDir) versions() ([]int, error) {
	names, err := d.Names()
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
func (d nameDir) highest() (int, error) {
	ids, err := d.versions()
	if err != nil {
		return 0, err
	}
	n := 0
	if len(ids) > 0 {
		n = ids[0]
	}
	// What is live had a number even if somebody removed it.
	if target, err := d.Readlink(liveLink); err == nil {
		n = max(n, number(target))
	}
	return n, nil
}

// live is the ID that the live link names.
func (d nameDir) live() (string, error) {
	path := d.At(liveLink)
	target, err := d.Readlink(liveLink)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", err
	case err != nil:
		if info, e := d.Lstat(liveLink); e == nil && info.Mode().Type() != fs.ModeSymlink {
			return "", &durable.BrokenError{Path: path, Err: errors.New("is not a symbolic link")}
		}
		return "", err
	case target == standInDir:
		return "", fmt.Errorf("%s is a stand-in: %w", path, fs.ErrNotExist)
	case number(target) == 0:
		return "", &durable.BrokenError{Path: path, Err: fmt.Errorf("points to %.100q, not to a version", target)}
	}
	return target, nil
}

// load reads and verifies version id.
func (d nameDir) load(id string) (Version, error) {
	v, err := d.version(id)
	if err != nil {
		return Version{}, err
	}
	defer v.Close()
	p, _, _, err := d.pair(v)
	if err != nil {
		return Version{}, err
	}
	for _, file := range p.files()[2:] {
		data, err := readPart(v, file.Name, maxStateFile)
		if err != nil {
			return Version{}, err
		}
		if !sameText(data, file.Data) {
			return Version{}, &durable.BrokenError{Path: v.At(file.Name), Err: errors.New("does not belong to " + fullChainFile + " and " + keyFile)}
		}
	}
	return Version{ID: id, Dir: v.Path(), Pair: p}, nil
}

// pair reads the chain and the key of a version, and verifies that they are a pair.
func (d nameDir) pair(v *durable.Dir) (p *Pair, chain, key []byte, err error) {
	chain, err = readPart(v, fullChainFile, maxChainBytes)
	key, keyErr := readPart(v, keyFile, maxKeyBytes)
	if err = cmp.Or(err, keyErr); err == nil {
		p, err = d.read.parse(chain, key)
		if err != nil {
			err = &durable.BrokenError{Path: damagedPart(v, chain, key), Err: err}
		}
	}
	return p, chain, key, err
}

// damagedPart is the file that Parse refuses, or the version if that is not one alone.
func damagedPart(v *durable.Dir, chain, key []byte) string {
	if _, err := parseCertificates(chain); err != nil {
		return v.At(fullChainFile)
	}
	if _, err := ParseKey(key); err != nil {
		return v.At(keyFile)
	}
	return v.Path()
}

// pairs are those that were read and are still in use. A pass reads each new version four
// times, and verifying a pair takes longer than reading it.
type pairs struct {
	known sync.Map // weak.Pointer[Pair] by pairSums
}

// pairSums are the SHA-256 of a chain and of a key, as they were read.
type pairSums struct{ chain, key [sha256.Size]byte }

// parse is [Parse], which is not called again for a pair in use.
func (p *pairs) parse(chain, key []byte) (*Pair, error) {
	sums := pairSums{sha256.Sum256(chain), sha256.Sum256(key)}
	if known, ok := p.known.Load(sums); ok {
		if pair := known.(weak.Pointer[Pair]).Value(); pair != nil {
			return pair, nil
		}
	}
	pair, err := Parse(chain, key)
	if err == nil {
		p.keep(sums, pair)
	}
	return pair, err
}

// keep has parse return pair for the files of these sums.
func (p *pairs) keep(sums pairSums, pair *Pair) {
	p.known.Store(sums, weak.Make(pair))
	runtime.AddCleanup(pair, func(sums pairSums) { p.known.Delete(sums) }, sums)
}

// LiveID is the ID of the live version of name: fs.ErrNotExist if there is
// none. It reads the link and nothing else.
func (s *Store) LiveID(name string) (string, error) {
	f, err := s.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return f.live()
}
