package rollover

import (
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"keypaird/renew/problem"
	"keypaird/renew/tlsa"
)

// Mismatch returns why the observed records of a target require the operator to act:
// peers refuse the certificate in use, or would refuse the first one, which is held.
func (s State) Mismatch(now time.Time, target string) (held bool, err error) {
	if names := s.Mismatched(); len(names) > 0 {
		return false, s.mismatchError(names, s.Ready(now), target)
	}
	if s.Held(now) != "" && len(s.Missing()) > 0 {
		return true, s.HeldError(now)
	}
	return false, nil
}

// mismatchError reports TLSA records at names that make peers refuse the certificate
// in use. nextReady: all caches have the record of the next key.
func (s State) mismatchError(names []string, nextReady bool, target string) error {
	lines := make([]string, len(names))
	for i, name := range names {
		lines[i] = tlsa.ZoneLine(name, tlsa.Record(s.InUse.RawSubjectPublicKeyInfo))
	}
	remedy := "publish this: " + strings.Join(lines, "\n")
	if nextReady {
		remedy += "\nor use the next key, as its record is published: keypaird issue -force " + target
	}
	return problem.Newf(remedy, "none of the TLSA records of %s matches the key in use: peers that check them refuse it", strings.Join(names, ", "))
}

// Refused returns why peers refuse a certificate with an earlier key, by the TLSA records that
// a name has now and had in the last observation; nil: they do not.
func Refused(leaf *x509.Certificate, target, name string, last Observation, set RecordSet, now time.Time) error {
	force := "\nor at once, if nothing else serves: keypaird fleet rollback -force " + target
	usable := func(records []string) bool { return slices.ContainsFunc(records, tlsa.Usable) }
	if tlsa.Refuses(set.Records, leaf) || !usable(set.Records) && usable(set.Partly) {
		line := tlsa.ZoneLine(name, tlsa.Record(leaf.RawSubjectPublicKeyInfo))
		return problem.Newf("publish this beside the existing records, and two TTLs later run this again: "+line+"\nor order another certificate: keypaird issue -force "+target+force,
			"none of the TLSA records of %s matches its key: peers that check them would refuse it", name)
	}
	until := last.Answered(set, nil, now).refusedUntil(leaf, set.Records)
	if until.IsZero() {
		return nil
	}
	return problem.Newf("run this again after "+until.UTC().Format(time.RFC3339)+force,
		"the TLSA record of its key at %s has been visible for less than two TTLs: caches may lack it, and peers would refuse the key", name)
}

// refusedUntil returns until when caches may lack the records by which peers accept a
// certificate; zero if some of records have been observed for longer and accept it, or
// if there are none that peers can use.
func (o Observation) refusedUntil(leaf *x509.Certificate, records []string) (until time.Time) {
	known := slices.DeleteFunc(slices.Clone(records), func(r string) bool { return !o.appeared(r).IsZero() })
	if !slices.ContainsFunc(records, tlsa.Usable) || slices.ContainsFunc(known, tlsa.Usable) && !tlsa.Refuses(known, leaf) {
		return time.Time{}
	}
	for _, a := range o.Appeared {
		t := a.At.Add(2 * o.TTL)
		if tlsa.Usable(a.Record) && !tlsa.Refuses([]string{a.Record}, leaf) && (until.IsZero() || t.Before(until)) {
			until = t
		}
	}
	return until
}

// HeldError returns why a certificate is not ordered: peers would refuse it because of
// the published TLSA records.
func (s State) HeldError(now time.Time) error {
	records := s.Missing()
	remedy := "publish this beside the existing records, and keypaird continues two TTLs later: " + strings.Join(records, "\n")
	if s.NewKey {
		remedy = "publish this beside the existing records, and two TTLs later run this again: " + strings.Join(records, "\n")
	}
	switch {
	case s.Unknown():
		remedy = "see that the name servers answer, or correct resolvers in the [dns.*] table of that zone; or remove tlsa to continue without"
	case len(records) == 0:
		remedy = "wait: the records are published, and must be visible for two TTLs"
	}
	return problem.New("not ordered, "+s.Held(now), remedy)
}
