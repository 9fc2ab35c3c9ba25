package unconfigured

import (
	"crypto/x509"
	"log/slog"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
)

// CopyRenamed gives each target that has no certificate stored the newest pair of
// list that is for its names and of its key type: the target was renamed. The next
// pass deploys it, and orders nothing. The old name keeps its pair, as servers may
// still use its files. The caller holds the state lock.
//
// After a crash there is no version of the new name yet, and the next call repeats
// it, or there is one and its record.
func CopyRenamed(store *keypair.Store, records *renew.Records, list []Certificate, targets []renew.Target, now time.Time, log *slog.Logger) {
	found := renamed(store, list, targets, now)
	for _, t := range targets {
		c, ok := found[t.Name]
		if !ok {
			continue
		}
		v, err := c.copyTo(store, records, t)
		if err != nil {
			log.Warn("certificate of the old name not used", "cert", t.Name, "from", c.Name, "err", err, "remedy", renew.Remedy(err))
			continue
		}
		log.Info("target renamed", "cert", t.Name, "from", c.Name, "version", v.ID, "not_after", v.Pair.Leaf.NotAfter)
	}
}

// Renamed returns the old names of those of targets to which CopyRenamed would give a
// pair, by their new names.
func Renamed(store *keypair.Store, list []Certificate, targets []renew.Target, now time.Time) map[string]string {
	names := map[string]string{}
	for name, c := range renamed(store, list, targets, now) {
		names[name] = c.Name
	}
	return names
}

// renamed returns what each target may use that has no certificate, by its name. That is no
// pair that was revoked, unless the target has TLSA records.
func renamed(store *keypair.Store, list []Certificate, targets []renew.Target, now time.Time) map[string]candidate {
	newest := map[string]candidate{} // by identity
	for _, c := range list {
		v, err := store.Newest(c.Name)
		if err != nil || !now.Before(v.Pair.Leaf.NotAfter) {
			continue
		}
		leaf := v.Pair.Leaf
		id := identity(keypair.Names(leaf), keypair.KeyType(leaf.PublicKey))
		if !c.Record.Revoked.TimeFor(leaf).IsZero() {
			id = revoked + id
		}
		if best, ok := newest[id]; !ok || newer(leaf, best.Pair.Leaf) {
			newest[id] = candidate{c, v}
		}
	}
	found := map[string]candidate{}
	if len(newest) == 0 {
		return found
	}
	for _, t := range targets {
		id := identity(keypair.CanonicalNames(t.Names), t.KeyType)
		c, ok := newest[id]
		if !ok && len(t.TLSA) > 0 { // its next key may be published, and peers know no other
			c, ok = newest[revoked+id]
		}
		if !ok || t.External() != nil {
			continue
		}
		if _, _, _, err := store.NewestLeaf(t.Name); err != nil && keypair.None(err) {
			found[t.Name] = c
		}
	}
	return found
}

// A candidate is a version that a renamed target may use.
type candidate struct {
	Certificate
	keypair.Version
}

// revoked begins the identity of a pair that was revoked.
const revoked = "revoked "

// identity stands for names and the type of a key.
func identity(names []string, keyType string) string { return keyType + " " + strings.Join(names, " ") }

// newer reports whether a is the newer certificate.
func newer(a, b *x509.Certificate) bool {
	if !a.NotBefore.Equal(b.NotBefore) {
		return a.NotBefore.After(b.NotBefore)
	}
	return a.NotAfter.After(b.NotAfter)
}

// copyTo adds the version to a target, with what the record knows of it. The
// version comes last: what is written before means nothing without it.
func (c candidate) copyTo(store *keypair.Store, records *renew.Records, t renew.Target) (keypair.Version, error) {
	rec, err := renew.LoadRecord(store, t.Name)
	if err != nil && !keypair.None(err) {
		return keypair.Version{}, err
	}
	old := c.Record
	rec.Fingerprint, rec.CA, rec.Profile, rec.IssuedAt = old.Fingerprint, old.CA, old.Profile, old.IssuedAt
	rec.RenewalInfo, rec.Orders, rec.Revoked = old.RenewalInfo, nil, old.Revoked
	if len(t.TLSA) > 0 {
		rec.TLSA = old.TLSA
		if err := copyNextKey(store, c.Certificate.Name, t.Name); err != nil {
			return keypair.Version{}, err
		}
	}
	if err := records.SaveDurably(store, t.Name, rec); err != nil {
		return keypair.Version{}, err
	}
	return store.Add(t.Name, c.Pair)
}

// copyNextKey copies the key of the certificate after the newest, unless there is
// one: its TLSA record may be published already.
func copyNextKey(store *keypair.Store, from, to string) error {
	if _, err := store.ReadFile(to, renew.NextKeyFile); err == nil || !keypair.None(err) {
		return err
	}
	key, err := store.ReadFile(from, renew.NextKeyFile)
	if err != nil {
		return noneIsNil(err)
	}
	return store.WriteFile(to, renew.NextKeyFile, key)
}

// noneIsNil returns err, or nil if there is nothing that could be used.
func noneIsNil(err error) error {
	if keypair.None(err) {
		return nil
	}
	return err
}
