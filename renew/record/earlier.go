package record

import "time"

// earlier holds the keys of a record that earlier versions wrote under other names.
type earlier struct {
	Notified Notified `json:"told"`
	TLSA     struct {
		TLSA
		Next    string    `json:"key"`
		Retired []string  `json:"former"`
		QueryAt time.Time `json:"look"`
	} `json:"dane"`
}

// rename puts the keys into r, unless r has them already.
func (e earlier) rename(r *Record) {
	if r.Notified == (Notified{}) {
		r.Notified = e.Notified
	}
	keys := e.TLSA.TLSA
	keys.Next, keys.Retired, keys.QueryAt = e.TLSA.Next, e.TLSA.Retired, e.TLSA.QueryAt
	if r.TLSA.Empty() && !keys.Empty() {
		r.TLSA = keys
	}
}
