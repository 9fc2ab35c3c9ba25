// Package lifetime says when a certificate should be replaced, when it is overdue,
// and when it ends soon, from its dates alone.
package lifetime

import (
	"crypto/x509"
	"time"
)

const shortLived = 10 * 24 * time.Hour

// Due returns when a certificate should be replaced if its CA suggests no window.
func Due(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	left := life / 3
	if life < shortLived {
		left = life / 2
	}
	return leaf.NotAfter.Add(-left)
}

// LastDue returns the latest time to replace a certificate, whatever its CA suggests.
func LastDue(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 5)
}

// Overdue returns when a certificate that was due at a time is overdue: when half of the
// lifetime left at that time has passed.
func Overdue(leaf *x509.Certificate, due time.Time) time.Time {
	return due.Add(leaf.NotAfter.Sub(due) / 2)
}

// longNotice is how long before its end an external certificate is overdue at the
// earliest: the usual time to get another.
const longNotice = 30 * 24 * time.Hour

// ExternalOverdue returns when an external certificate is overdue: only its end is known.
func ExternalOverdue(leaf *x509.Certificate) time.Time {
	at := Overdue(leaf, Due(leaf))
	if earliest := leaf.NotAfter.Add(-longNotice); at.Before(earliest) {
		return earliest
	}
	return at
}

// EndsSoon reports whether less than a quarter of the lifetime of leaf is left, or
// there is none.
func EndsSoon(leaf *x509.Certificate, now time.Time) bool {
	return leaf == nil || leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/4
}
