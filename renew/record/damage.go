package record

import (
	"log/slog"
	"maps"
	"time"

	"keypaird/renew/keypair"
)

// A damagedFile is a stored file that was repaired: its content, or its mode alone.
type damagedFile struct {
	path     string
	modeOnly bool
}

// A damageCount says how often a file was damaged, each time within damageMemory of the last.
type damageCount struct {
	at time.Time // the last
	n  int
}

// damageMemory is how long a repaired file is expected to stay as it is: if it does not,
// another program writes it.
const damageMemory = 24 * time.Hour

// ReportDamage logs what is found of the stored files of a certificate at now, and reports
// whether servers that read them have to be reloaded: not for a mode, and not for what
// another program does again and again. That is logged once.
func (r *Records) ReportDamage(log *slog.Logger, cert string, found []keypair.Damage, now time.Time) (reload bool) {
	for _, d := range found {
		switch r.countDamage(damagedFile{d.Path, d.ModeOnly}, now) {
		case 1:
			log.Warn("stored file damaged, repairing", "cert", cert, "found", d.String())
			reload = reload || !d.ModeOnly
		case 2:
			log.Warn("stored file damaged again, repairing without a reload", "cert", cert, "found", d.String()+": another program changes it",
				"remedy", "stop the program that changes "+d.Path+", or deploy the files to another directory for it")
		}
	}
	return reload
}

// countDamage counts one more damage of a file, and returns how many there were in a row.
func (r *Records) countDamage(f damagedFile, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.damaged, func(_ damagedFile, c damageCount) bool { return now.Sub(c.at).Abs() > damageMemory })
	if r.damaged == nil {
		r.damaged = map[damagedFile]damageCount{}
	}
	r.damaged[f] = damageCount{now, r.damaged[f].n + 1}
	return r.damaged[f].n
}
