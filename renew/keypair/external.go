package keypair

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// A Source is two files in which another program or the operator leaves a pair: the
// chain, leaf first, and the private key of its leaf. They are never written here.
type Source struct {
	Chain, Key string // absolute paths
}

// Mark identifies the current state of the two files without reading them: it changes
// when one of them is written, replaced, removed or given other permissions.
func (s Source) Mark() string {
	h := sha256.New()
	for _, path := range []string{s.Chain, s.Key} {
		markFile(h, path)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func markFile(h hash.Hash, path string) {
	info, err := os.Stat(path)
	if err != nil {
		fmt.Fprintf(h, "%q %q\n", path, durable.Cause(err))
		return
	}
	fmt.Fprintf(h, "%q %v %d %d", path, info.Mode(), info.Size(), info.ModTime().UnixNano())
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		fmt.Fprintf(h, " %d %d %d %d", st.Dev, st.Ino, st.Uid, st.Gid)
	}
	fmt.Fprintln(h)
}

// errChanging reports files that were written while they were read.
var errChanging = errors.New("changed while it was read")

// Read returns the pair in the files, if it is one that a server can use at the
// instant now, and the mark of what was read.
func (s Source) Read(now time.Time) (p *Pair, mark string, err error) {
	mark = s.Mark()
	chain, err := readSource(s.Chain, maxChainBytes, 0o002)
	if err != nil {
		return nil, mark, sourceError(s.Chain, err, remedyOfChain(s, err))
	}
	key, err := readSource(s.Key, maxKeyBytes, 0o007)
	if err != nil {
		return nil, mark, sourceError(s.Key, err, remedyOfKey(s, err))
	}
	if s.Mark() != mark {
		return nil, mark, sourceError(s.Chain, errChanging, "wait until whatever writes there has ended")
	}
	p, err = s.parse(chain, key)
	if err == nil {
		err = s.usable(p, now)
	}
	return p, mark, err
}

// readSource returns the content of a regular file of at most limit bytes. Others may
// have none of the permissions in forbidden, and no other user may have chosen which
// file it is: see [durable.CheckFile].
func readSource(path string, limit int, forbidden fs.FileMode) ([]byte, error) {
	resolved, err := durable.CheckFile(path)
	if err != nil {
		return nil, durable.Cause(err)
	}
	data, info, err := durable.ReadFile(resolved, limit, durable.NoLink)
	if info != nil && info.Mode().IsRegular() {
		uid, ours := durable.Owner(info)
		switch perm := info.Mode().Perm(); {
		case !ours: // its owner could change it
			return nil, problem.New(fmt.Sprintf("belongs to user %d, neither root nor the user who runs this (%d)", uid, os.Geteuid()),
				fmt.Sprintf("chown %d %s", os.Geteuid(), path))
		case perm&forbidden != 0 && forbidden&0o004 == 0:
			return nil, problem.New(fmt.Sprintf("can be written by others (mode %04o)", perm), "chmod o-w "+path)
		case perm&forbidden != 0:
			return nil, problem.New(fmt.Sprintf("can be used by others (mode %04o)", perm), "chmod o= "+path)
		}
	}
	if err != nil {
		return nil, durable.Cause(err)
	}
	return data, nil
}

// parse makes a pair of what is in the files, and says in which of them a fault
// is.
func (s Source) parse(chain, key []byte) (*Pair, error) {
	certs, err := parseCertificates(chain)
	if err != nil {
		return nil, sourceError(s.Chain, err, remedyOfChain(s, err))
	}
	signer, err := ParseKey(key)
	if err != nil {
		return nil, sourceError(s.Key, err, remedyOfKey(s, err))
	}
	if !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return matches(signer, []*x509.Certificate{c}) == nil }) {
		return nil, sourceError(
			s.Key, errors.New("is not the key of the certificate in "+s.Chain),
			"put the key there that the certificate was asked for with, or its certificate into "+s.Chain,
		)
	}
	p, err := Parse(chain, key)
	if err != nil {
		return nil, sourceError(s.Chain, err, "put the certificate for the server first, then the one that signed it, and so on")
	}
	return p, nil
}

// usable returns why a server could not use p, or nil. The rules are those of
// [Pair.CheckNew], with the names that p itself is for.
func (s Source) usable(p *Pair, now time.Time) error {
	leaf := p.Leaf
	var wrong error
	switch {
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		wrong = errors.New("the certificate is for no name")
	case len(leaf.EmailAddresses)+len(leaf.URIs) > 0:
		wrong = errors.New("the certificate is for mail addresses or URIs, too")
	case slices.ContainsFunc(leaf.DNSNames, oddName):
		wrong = errors.New("the certificate is for a name that is not one of a host")
	default:
		wrong = p.CheckNew(p.Names(), now)
	}
	var dates *DateError
	switch {
	case wrong == nil:
		return nil
	case !errors.As(wrong, &dates):
		return sourceError(s.Chain, wrong, "ask whoever issued it for a certificate for a web server, with its names as subject alternative names")
	case dates.early() && leaf.NotBefore.Before(leaf.NotAfter):
		return sourceError(s.Chain, wrong, "see that the clock of this machine is right, or wait until then")
	}
	return sourceError(s.Chain, wrong, s.Replace())
}

// Replace returns the remedy for a pair that expires.
func (s Source) Replace() string {
	return "put its successor and that one's key into " + s.Chain + " and " + s.Key
}

// oddName reports whether a name is one that no host has.
func oddName(name string) bool {
	rest := strings.ToLower(strings.TrimPrefix(name, "*."))
	return rest == "" || len(name) > maxName || strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != ""
}

// Alone reports whether p lacks the certificate of its issuer, which most clients
// need: it has no chain, and its leaf is not self-signed.
func (p *Pair) Alone() bool {
	return len(p.Chain) == 0 && !bytes.Equal(p.Leaf.RawIssuer, p.Leaf.RawSubject)
}

// sourceError is the error for a file of a [Source] that cannot be used.
func sourceError(path string, err error, remedy string) error {
	the := ""
	if _, ok := errors.AsType[*DateError](err); ok {
		the = "the "
	}
	return problem.Newf(remedy, "%s: %s%w", path, the, err)
}

// remedyOfChain is what can be done about a chain that cannot be read.
func remedyOfChain(s Source, err error) string {
	if fix := remedyOfFile(s.Chain, err); fix != "" {
		return fix
	}
	return "leave nothing there but certificates in PEM: the one for the server first, then each intermediate"
}

// remedyOfKey is what can be done about a key that cannot be read.
func remedyOfKey(s Source, err error) string {
	if fix := remedyOfFile(s.Key, err); fix != "" {
		return fix
	}
	return "leave nothing there but the private key in PEM, without a passphrase (openssl pkey takes it off)"
}

// remedyOfFile is what can be done where not the content is at fault, or "".
func remedyOfFile(path string, err error) string {
	var unsafe *durable.UnsafeError
	var system syscall.Errno
	switch {
	case errors.As(err, &unsafe):
		return "put it where only root and the user who runs this can write; or " + unsafe.Remedy()
	case errors.Is(err, fs.ErrNotExist):
		return "put it there"
	case errors.Is(err, fs.ErrPermission):
		return "let the user who runs keypaird read " + path + " and pass through its directories"
	case errors.Is(err, durable.ErrNotRegular):
		return "name the file itself"
	case errors.As(err, &system):
		return durable.RemedyOf(err, path)
	}
	return problem.Remedy(err)
}

// Doubts lists what may be mistakes in a pair that was imported and replaces before.
func (s Source) Doubts(p *Pair, before *x509.Certificate) []string {
	var list []string
	if p.Alone() {
		list = append(list, "the chain in "+s.Chain+" holds the certificate alone: clients that do not know its issuer refuse it")
	}
	if before == nil {
		return list
	}
	have := Names(p.Leaf)
	if lost := slices.DeleteFunc(Names(before), func(name string) bool { return slices.Contains(have, name) }); len(lost) > 0 {
		list = append(list, "the new certificate lacks names of the one before: "+Quoted(lost))
	}
	if p.Leaf.NotAfter.Before(before.NotAfter) {
		list = append(list, fmt.Sprintf("the new certificate ends at %s, before the one that it replaces, at %s",
			p.Leaf.NotAfter.UTC().Format(time.RFC3339), before.NotAfter.UTC().Format(time.RFC3339)))
	}
	return list
}
