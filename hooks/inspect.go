package hooks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
)

// Spec implements renew.Deployer.
func (d *Deployment) Spec(target string) renew.DeploySpec {
	text := fmt.Appendf(nil, "%q %q %q %q %q %q %q %o %o %q %q %q %v", d.Chain, d.Key, d.Combined, d.Leaf, d.Intermediates,
		d.Owner, d.Group, d.ChainMode, d.KeyMode, d.Check, d.Reload, d.Socket, d.Verify)
	if d.PKCS12 != "" { // without one, hashes that records have stay valid
		text = fmt.Appendf(text, " %q %v", d.PKCS12, d.PKCS12Encoding)
	}
	h := sha256.Sum256(text)
	return renew.DeploySpec{ConfigHash: hex.EncodeToString(h[:8]), Signature: d.signature(target)}
}

// signature identifies the files of a target as they are, without reading them: any
// write, rename, chmod or change of an access control list makes another one, and so does
// a write of the file with the password. It is "" if the deployment writes none.
func (d *Deployment) signature(target string) string {
	if !d.writes() {
		return ""
	}
	h := sha256.New()
	paths := d.Paths(target)
	if d.PKCS12 != "" {
		paths = append(paths, d.PasswordFile)
	}
	for _, path := range paths {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		fmt.Fprintf(h, "%q %v %d %d %d %d %d %o %d %d\n", path, err, st.Dev, st.Ino, st.Size,
			unix.TimespecToNsec(st.Mtim), unix.TimespecToNsec(st.Ctim), st.Mode, st.Uid, st.Gid)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Inspect implements renew.Deployer.
func (d *Deployment) Inspect(target string, should *keypair.Pair) renew.Inspection {
	if !d.writes() {
		return renew.Inspection{}
	}
	owner, err := d.owner()
	if err != nil {
		return renew.Inspection{} // the deployment reports it
	}
	want, err := d.planned(target, should, owner)
	if err != nil {
		return renew.Inspection{Differs: err.Error()}
	}
	found, err := d.found(want, nil)
	if err != nil {
		return renew.Inspection{Differs: err.Error()}
	}
	if newer := found.pair; newer != nil && newerThan(newer, should, time.Now()) {
		return renew.Inspection{Newer: newer, Differs: want.files[0].path + " has a newer certificate"}
	}
	for i, f := range found.files {
		if differs := want.files[i].difference(f); differs != "" {
			return renew.Inspection{Differs: f.path + " " + differs}
		}
	}
	return renew.Inspection{}
}

// Holds reports whether every file of a target holds its part of p, in whatever
// encoding: another program may have written them.
func (d *Deployment) Holds(target string, p *keypair.Pair) bool {
	outputs := d.Outputs()
	for _, o := range outputs {
		f, _, err := read(ThroughLink(expand(o.Template, target)))
		if err != nil || !o.Holds(f.data, p) {
			return false
		}
	}
	return len(outputs) > 0
}

// newerThan reports whether p is a valid successor of old: for the same names, of the
// same issuer and type of key, and issued later.
func newerThan(p, old *keypair.Pair, now time.Time) bool {
	return p.Leaf.NotBefore.After(old.Leaf.NotBefore) && p.Leaf.NotAfter.After(old.Leaf.NotAfter) &&
		bytes.Equal(p.Leaf.RawIssuer, old.Leaf.RawIssuer) && keypair.KeyType(p.Leaf.PublicKey) == keypair.KeyType(old.Leaf.PublicKey) &&
		slices.Equal(keypair.Names(p.Leaf), keypair.Names(old.Leaf)) && p.Check(p.Names(), now) == nil
}

// difference says how found is not as f, or "". Additional rights that an access
// control list gives are the operator's: they are carried over.
func (f file) difference(found file) string {
	f = f.replacing(found)
	switch {
	case found.gone:
		return "is gone"
	case !found.exact:
		return "cannot be read"
	case len(found.data) == 0:
		return "is empty"
	case !bytes.Equal(f.data, found.data):
		return "has other content"
	case found.mode.Perm != f.mode.Perm:
		return fmt.Sprintf("has mode %s, not %s", octal(found.mode.Perm), octal(f.mode.Perm))
	case f.mode.UID >= 0 && f.mode.UID != found.mode.UID, f.mode.GID >= 0 && f.mode.GID != found.mode.GID:
		return fmt.Sprintf("belongs to %s, not to %s", owners(found.mode), owners(f.mode))
	}
	return ""
}

func octal(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// owners names user and group as chown does; those that do not matter are left out.
func owners(m durable.FileMode) string {
	text := ""
	if m.UID >= 0 {
		text = fmt.Sprint(m.UID)
	}
	if m.GID >= 0 {
		text += fmt.Sprintf(":%d", m.GID)
	}
	return text
}
