package acmetest

import (
	"slices"
	"time"

	"github.com/miekg/dns"
)

// update carries out an update (RFC 2136, section 3) and returns its response code.
// Prerequisites are not implemented.
func (d *DNS) update(w dns.ResponseWriter, r *dns.Msg) (rcode int) {
	t := r.IsTsig()
	if t == nil {
		return dns.RcodeRefused
	}
	key, known := d.keys[dns.CanonicalName(t.Hdr.Name)]
	if w.TsigStatus() != nil || !known || dns.CanonicalName(t.Algorithm) != dns.CanonicalName(key.Algorithm) {
		return dns.RcodeNotAuth
	}
	if len(r.Question) != 1 || r.Question[0].Qtype != dns.TypeSOA {
		return dns.RcodeFormatError
	}
	zone := dns.CanonicalName(r.Question[0].Name)
	if !slices.Contains(d.zones, zone) {
		return dns.RcodeNotAuth
	}
	if len(r.Answer) > 0 {
		return dns.RcodeNotImplemented
	}
	for _, rr := range r.Ns {
		name := dns.CanonicalName(rr.Header().Name)
		if d.zoneOf(name) != zone {
			return dns.RcodeNotZone
		}
		if !key.mayChange(name) {
			return dns.RcodeRefused
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	when := time.Now().Add(d.delay)
	for _, rr := range r.Ns {
		switch h := rr.Header(); h.Class {
		case dns.ClassINET:
			d.insert(rr, when)
		case dns.ClassANY: // a set, or all of the name
			d.end(h.Name, when, func(have dns.RR) bool {
				return h.Rrtype == dns.TypeANY || h.Rrtype == have.Header().Rrtype
			})
		case dns.ClassNONE: // one record
			one := dns.Copy(rr)
			one.Header().Class = dns.ClassINET
			d.end(h.Name, when, func(have dns.RR) bool { return dns.IsDuplicate(have, one) })
		}
	}
	d.bump(zone)
	d.updates++
	return dns.RcodeSuccess
}

// insert adds a record that is visible from a time on, unless it exists.
func (d *DNS) insert(rr dns.RR, from time.Time) {
	name := dns.CanonicalName(rr.Header().Name)
	for _, r := range d.records[name] {
		if r.until.IsZero() && dns.IsDuplicate(r.rr, rr) {
			return
		}
	}
	d.records[name] = append(d.records[name], record{rr: rr, from: from})
}

// end makes the matching records of a name invisible from a time on. The SOA and NS of a
// zone stay (RFC 2136, section 3.4.2.3). Records that are no longer visible are removed.
func (d *DNS) end(name string, when time.Time, match func(dns.RR) bool) {
	name = dns.CanonicalName(name)
	apex := slices.Contains(d.zones, name)
	now := time.Now()
	var kept []record
	for _, r := range d.records[name] {
		t := r.rr.Header().Rrtype
		if r.until.IsZero() && match(r.rr) && !(apex && (t == dns.TypeSOA || t == dns.TypeNS)) {
			r.until = when
		}
		if r.until.IsZero() || now.Before(r.until) {
			kept = append(kept, r)
		}
	}
	d.records[name] = kept
}

// bump gives a zone a new serial number.
func (d *DNS) bump(zone string) {
	for i, r := range d.records[zone] {
		if soa, ok := r.rr.(*dns.SOA); ok {
			next := *soa
			next.Serial++
			d.records[zone][i].rr = &next
		}
	}
}
