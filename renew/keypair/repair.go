package keypair

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/exposed"
)

// intact reports whether the files of a version look as they were written, without
// reading them: by sizes, modes and times. chain and key are what fullchain.pem and
// privkey.pem are, leaf is the size of the first certificate.
func intact(v *durable.Dir, chain, key fs.FileInfo, leaf int64) bool {
	for _, f := range [...]struct {
		name string
		size int64
	}{{certFile, leaf}, {chainFile, chain.Size() - leaf}, {combinedFile, key.Size() + chain.Size()}} {
		info, err := v.Lstat(f.name)
		if err != nil || info.Size() != f.size || !writtenWith(info, chain) {
			return false
		}
	}
	return writtenWith(chain, chain) && writtenWith(key, chain)
}

// maxTimeSpread is how far apart the files of a version are written at most. A copy keeps
// their times, or makes all anew.
const maxTimeSpread = 2 * time.Second

// writtenWith reports whether a file has the type and mode of those of a version, and was
// written when another was.
func writtenWith(info, other fs.FileInfo) bool {
	return info.Mode() == durable.Private.Perm && info.ModTime().Sub(other.ModTime()).Abs() <= maxTimeSpread
}

// Repair replaces the damaged files of version id, each in one step. The other files follow from
// the chain and the key; one of those two is restored from combined.pem. If that is impossible,
// nothing changes, and the error is a [*durable.BrokenError]. report gets the damage, if any,
// before the first file is replaced.
func (s *Store) Repair(name, id string, report func(found []string)) error {
	f, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	v, err := f.version(id)
	if err != nil {
		return err
	}
	defer v.Close()
	files, err := f.intended(v)
	if err != nil {
		return err
	}
	var found []string
	var replaced []durable.File
	for _, file := range files {
		differs, err := difference(v, file)
		if err != nil {
			return err
		}
		if differs != "" {
			found, replaced = append(found, v.At(file.Name)+" "+differs), append(replaced, file)
		}
	}
	if len(found) > 0 {
		report(found)
	}
	for _, file := range replaced { // after a failure, the others are still replaced
		if e := v.Replace(file.Name, file.Data, durable.Private); err == nil {
			err = e
		}
	}
	setTimes(v, files)
	return err
}

// intended returns the files that a version should have.
func (d nameDir) intended(v *durable.Dir) ([]durable.File, error) {
	p, chain, key, err := d.pair(v)
	if err == nil {
		files := p.files()
		files[0].Data, files[1].Data = chain, key // in whatever form they are
		return files, nil
	}
	if _, broken := errors.AsType[*durable.BrokenError](err); broken {
		if p := recovered(v, chain, key); p != nil {
			return p.files(), nil
		}
	}
	return nil, err
}

// recovered returns the pair in combined.pem; nil if there is none, or if neither the
// chain nor the key nor cert.pem shows that it is the version's.
func recovered(v *durable.Dir, chain, key []byte) *Pair {
	combined, err := v.Read(combinedFile, maxChainBytes+maxKeyBytes)
	at := bytes.Index(combined, []byte(begin+"CERTIFICATE"))
	if err != nil || at < 0 {
		return nil
	}
	p, err := Parse(combined[at:], combined[:at])
	if err != nil {
		return nil
	}
	cert, _ := v.Read(certFile, maxChainBytes)
	if sameText(chain, p.FullChain()) || sameText(key, p.Key()) || sameText(cert, p.Cert()) {
		return p
	}
	return nil
}

// sameText reports whether a file has a content, with either kind of line end.
func sameText(data, content []byte) bool {
	return bytes.Equal(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")))
}

// difference says how a file of a version is not as it should be, or "". The mode of one
// that others can read stays: its key may have been copied, and that is reported for as
// long as it does.
func difference(v *durable.Dir, file durable.File) (string, error) {
	info, err := v.Lstat(file.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is gone", nil
	case err != nil:
		return "", err
	case info.Mode().IsRegular() && info.Size() == 0 && len(file.Data) > 0:
		return "is empty", nil
	}
	data, err := v.Read(file.Name, maxStateFile)
	if broken, ok := errors.AsType[*durable.BrokenError](err); ok {
		return broken.Err.Error(), nil
	}
	switch {
	case err != nil:
		return "", err
	case !sameText(data, file.Data):
		return "has other content", nil
	case info.Mode() != durable.Private.Perm && exposed.Check(v.At(file.Name), durable.Private.Perm).Kind < exposed.Read:
		return fmt.Sprintf("has mode %04o, not %04o", info.Mode().Perm(), durable.Private.Perm), nil
	}
	return "", nil
}

// setTimes gives the files of a version one time, so that they count as intact. Without, they
// are read again.
func setTimes(v *durable.Dir, files []durable.File) {
	full, err := v.Lstat(fullChainFile)
	for _, file := range files {
		if info, e := v.Lstat(file.Name); err == nil && e == nil && info.Mode().IsRegular() && info.ModTime().Sub(full.ModTime()).Abs() > maxTimeSpread {
			_ = v.SetTime(file.Name, full.ModTime())
		}
	}
}
