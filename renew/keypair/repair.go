package keypair

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
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

// A Damage is a file of a version that is not as it should be.
type Damage struct {
	Path     string
	Differs  string // continues a sentence that begins with the path
	ModeOnly bool   // its content is right
}

func (d Damage) String() string { return d.Path + " " + d.Differs }

// Repair replaces the damaged files of version id, each in one step. The other files follow from
// the chain and the key, unless those agree on another pair; one of the two is restored from
// combined.pem. If that is impossible, nothing changes, and the error says which file it is.
// report gets the damage, if any, before the first file is replaced.
func (s *Store) Repair(name, id string, report func(found []Damage)) error {
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
	var found []Damage
	var replaced []durable.File
	for _, file := range files {
		damage, err := difference(v, file)
		if err != nil {
			return err
		}
		if damage.Differs != "" {
			found, replaced = append(found, damage), append(replaced, file)
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
		if other := agreed(v); other != nil && !bytes.HasPrefix(p.FullChain(), other.FullChain()) {
			files = other.files()
		}
		return files, nil
	}
	if _, broken := errors.AsType[*durable.BrokenError](err); broken || unreadable(err) {
		if p := recovered(v, chain, key); p != nil {
			return p.files(), nil
		}
	}
	return nil, err
}

// unreadable reports whether a file has to be replaced to be read again: its mode or the disk
// keeps us from that. That too many files are open passes.
func unreadable(err error) bool { return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EIO) }

// agreed returns the pair in combined.pem if cert.pem and chain.pem are of it; else nil. It is
// the version's, also where the chain and the key are another pair, or the chain was cut.
func agreed(v *durable.Dir) *Pair {
	p := combinedPair(v)
	cert, certErr := v.Read(certFile, maxChainBytes)
	chain, chainErr := v.Read(chainFile, maxChainBytes)
	if p == nil || certErr != nil || chainErr != nil || !sameText(cert, p.Cert()) || !sameText(chain, p.ChainPEM()) {
		return nil
	}
	return p
}

// combinedPair returns the pair in combined.pem; nil if there is none.
func combinedPair(v *durable.Dir) *Pair {
	combined, err := v.Read(combinedFile, maxChainBytes+maxKeyBytes)
	at := bytes.Index(combined, []byte(begin+"CERTIFICATE"))
	if err != nil || at < 0 {
		return nil
	}
	p, err := Parse(combined[at:], combined[:at])
	if err != nil {
		return nil
	}
	return p
}

// recovered returns the pair in combined.pem; nil if there is none, or if neither the
// chain nor the key nor cert.pem shows that it is the version's.
func recovered(v *durable.Dir, chain, key []byte) *Pair {
	p := combinedPair(v)
	if p == nil {
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

// difference returns how a file of a version is not as it should be. The mode of one that
// others can read stays: its key may have been copied, and that is reported for as long as it
// does.
func difference(v *durable.Dir, file durable.File) (d Damage, err error) {
	d.Path = v.At(file.Name)
	info, err := v.Lstat(file.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Differs = "is gone"
		return d, nil
	case err != nil:
		return d, err
	case info.Mode().IsRegular() && info.Size() == 0 && len(file.Data) > 0:
		d.Differs = "is empty"
		return d, nil
	}
	data, err := v.Read(file.Name, maxStateFile)
	broken, isBroken := errors.AsType[*durable.BrokenError](err)
	switch {
	case isBroken:
		d.Differs = broken.Err.Error()
	case unreadable(err):
		d.Differs = "cannot be read: " + durable.Cause(err).Error()
	case err != nil:
		return d, err
	case !sameText(data, file.Data):
		d.Differs = "has other content"
	case info.Mode() != durable.Private.Perm && exposed.Check(v.At(file.Name), durable.Private.Perm).Kind < exposed.Read:
		d.Differs, d.ModeOnly = fmt.Sprintf("has mode %04o, not %04o", info.Mode().Perm(), durable.Private.Perm), true
	}
	return d, nil
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
