package keypair

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"path/filepath"
)

// leaf reads the leaf of version id and sees that the rest of it is there.
func (f *folder) leaf(id string) (leaf *x509.Certificate, fp string, err error) {
	v, err := f.version(id)
	if err != nil {
		return nil, "", err
	}
	defer v.close()
	chain, err := v.part(fullChainFile, maxChainBytes)
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(v.path, fullChainFile)
	blocks, err := certificateBlocks(chain)
	if err != nil {
		return nil, "", &BrokenError{path, err}
	}
	leaf, err = x509.ParseCertificate(blocks[0].Bytes)
	if err != nil {
		return nil, "", &BrokenError{path, err}
	}
	path = filepath.Join(v.path, keyFile)
	info, err := v.lstat(keyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", &BrokenError{path, errMissing}
	case err != nil:
		return nil, "", err
	case !info.Mode().IsRegular():
		return nil, "", &BrokenError{path, errNotRegular}
	case info.Size() == 0:
		return nil, "", &BrokenError{path, errors.New("is empty")}
	}
	return leaf, fingerprint(leaf), nil
}

// version opens the directory of version id.
func (f *folder) version(id string) (*folder, error) {
	v, err := f.sub(id)
	return v, broken(filepath.Join(f.path, id), err)
}

// part reads one file of a version.
func (f *folder) part(name string, limit int) ([]byte, error) {
	data, err := f.read(name, limit)
	return data, broken(filepath.Join(f.path, name), err)
}

// broken turns a missing part into damage; an error that only means that we
// cannot tell stays what it is.
func broken(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &BrokenError{path, errMissing}
	}
	return err
}
