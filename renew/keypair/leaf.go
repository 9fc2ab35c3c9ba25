package keypair

import (
	"crypto/x509"
	"errors"
	"io/fs"
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
	spans, err := certificateSpans(chain)
	if err == nil {
		leaf, err = parseCertificate(spans[0])
	}
	if err != nil {
		return nil, "", &BrokenError{v.at(fullChainFile), err}
	}
	info, err := v.lstat(keyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", &BrokenError{v.at(keyFile), errMissing}
	case err != nil:
		return nil, "", err
	case !info.Mode().IsRegular():
		return nil, "", &BrokenError{v.at(keyFile), errNotRegular}
	case info.Size() == 0:
		return nil, "", &BrokenError{v.at(keyFile), errors.New("is empty")}
	}
	return leaf, fingerprint(leaf), nil
}

// version opens the directory of version id.
func (f *folder) version(id string) (*folder, error) {
	v, err := f.sub(id)
	return v, f.broken(id, err)
}

// part reads one file of a version.
func (f *folder) part(name string, limit int) ([]byte, error) {
	data, err := f.read(name, limit)
	return data, f.broken(name, err)
}

// broken turns a missing part into damage; an error that only means that we
// cannot tell stays what it is.
func (f *folder) broken(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &BrokenError{f.at(name), errMissing}
	}
	return err
}
