package keypair

import (
	"crypto/x509"
	"errors"
	"io/fs"

	"keypaird/renew/durable"
)

// A storedLeaf is the leaf of a version.
type storedLeaf struct {
	*x509.Certificate
	fingerprint string
	intact      bool // the files of the version look as they were written
}

// leaf reads the leaf of version id and sees that the rest of it is there.
func (d nameDir) leaf(id string) (storedLeaf, error) {
	v, err := d.version(id)
	if err != nil {
		return storedLeaf{}, err
	}
	defer v.Close()
	chain, full, err := v.ReadInfo(fullChainFile, maxChainBytes)
	if err != nil {
		return storedLeaf{}, broken(v, fullChainFile, err)
	}
	spans, err := certificateSpans(chain)
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = parseCertificate(spans[0])
	}
	if err != nil {
		return storedLeaf{}, &durable.BrokenError{Path: v.At(fullChainFile), Err: err}
	}
	info, err := v.Lstat(keyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return storedLeaf{}, &durable.BrokenError{Path: v.At(keyFile), Err: errMissing}
	case err != nil:
		return storedLeaf{}, err
	case !info.Mode().IsRegular():
		return storedLeaf{}, &durable.BrokenError{Path: v.At(keyFile), Err: durable.ErrNotRegular}
	case info.Size() == 0:
		return storedLeaf{}, &durable.BrokenError{Path: v.At(keyFile), Err: errors.New("is empty")}
	}
	return storedLeaf{leaf, Fingerprint(leaf), intact(v, full, info, int64(len(spans[0])))}, nil
}

// version opens the directory of version id.
func (d nameDir) version(id string) (*durable.Dir, error) {
	v, err := d.Sub(id)
	return v, broken(d.Dir, id, err)
}

// readPart reads one file of a version.
func readPart(v *durable.Dir, name string, limit int) ([]byte, error) {
	data, err := v.Read(name, limit)
	return data, broken(v, name, err)
}

var errMissing = errors.New("is missing")

// broken makes a BrokenError of a missing part. An error of reading stays what it
// is: the part may be whole.
func broken(d *durable.Dir, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &durable.BrokenError{Path: d.At(name), Err: errMissing}
	}
	return err
}

// Certificates are those of one version, in DER: they are not parsed.
type Certificates struct {
	ID          string
	Fingerprint string   // of its leaf
	Chain       [][]byte // the others
}

// Certificates returns those of the versions of name, newest first, without broken ones.
// It reads no key.
func (s *Store) Certificates(name string) ([]Certificates, error) {
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := f.versions()
	if err != nil {
		return nil, err
	}
	var list []Certificates
	for _, n := range ids {
		if c, err := f.certificates(versionID(n)); err == nil {
			list = append(list, c)
		}
	}
	return list, nil
}

// certificates returns those of version id.
func (d nameDir) certificates(id string) (Certificates, error) {
	v, err := d.version(id)
	if err != nil {
		return Certificates{}, err
	}
	defer v.Close()
	data, err := readPart(v, fullChainFile, maxChainBytes)
	if err != nil {
		return Certificates{}, err
	}
	spans, err := certificateSpans(data)
	if err != nil {
		return Certificates{}, err
	}
	c := Certificates{ID: id}
	for i, span := range spans {
		b, err := decodePEM(span)
		if err != nil {
			return Certificates{}, err
		}
		if i == 0 {
			c.Fingerprint = fingerprintOf(b.Bytes)
		} else {
			c.Chain = append(c.Chain, b.Bytes)
		}
	}
	return c, nil
}
