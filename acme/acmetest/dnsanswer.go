package acmetest

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxAliases bounds a chain of CNAMEs.
const maxAliases = 8

// handle answers one message.
func (d *DNS) handle(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	if opt := r.IsEdns0(); opt != nil {
		m.SetEdns0(1232, false)
	}
	switch {
	case r.Opcode == dns.OpcodeUpdate:
		m.Rcode = d.update(w, r)
		if t := r.IsTsig(); t != nil && m.Rcode != dns.RcodeNotAuth {
			m.SetTsig(t.Hdr.Name, t.Algorithm, 300, time.Now().Unix())
		}
	case r.Opcode != dns.OpcodeQuery || len(r.Question) != 1:
		m.Rcode = dns.RcodeNotImplemented
	default:
		d.answer(m, r.Question[0])
	}
	if w.RemoteAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if opt := r.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	w.WriteMsg(m)
}

// answer fills m with the records for a question, and follows CNAMEs within the zones
// (RFC 1034, section 4.3.2).
func (d *DNS) answer(m *dns.Msg, q dns.Question) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.zoneOf(q.Name) == "" {
		m.Rcode = dns.RcodeRefused
		return
	}
	m.Authoritative = true
	now := time.Now()
	name := q.Name
	for range maxAliases {
		zone := d.zoneOf(name)
		if zone == "" {
			return // the rest is somebody else's
		}
		rrs, exists := d.lookup(zone, name, now)
		found, alias := pick(rrs, q.Qtype)
		m.Answer = append(m.Answer, found...)
		switch {
		case alias != "":
			name = alias
			continue
		case len(found) > 0:
			return
		case !exists:
			m.Rcode = dns.RcodeNameError
		}
		soa, _ := d.lookup(zone, zone, now)
		m.Ns, _ = pick(soa, dns.TypeSOA) // RFC 2308, section 3
		return
	}
}

// pick returns the records of a type, or the target of the CNAME in their place.
func pick(rrs []dns.RR, qtype uint16) (found []dns.RR, alias string) {
	for _, rr := range rrs {
		if t := rr.Header().Rrtype; t == qtype || qtype == dns.TypeANY {
			found = append(found, rr)
		}
	}
	if len(found) > 0 {
		return found, ""
	}
	for _, rr := range rrs {
		if c, ok := rr.(*dns.CNAME); ok {
			return []dns.RR{rr}, c.Target
		}
	}
	return nil, ""
}

// lookup returns what is visible at name, with name as the owner, and whether
// the name exists. A name that does not is looked for at the wildcard of its
// closest encloser (RFC 4592, section 3.3.1).
func (d *DNS) lookup(zone, name string, now time.Time) ([]dns.RR, bool) {
	owner := dns.CanonicalName(name)
	if d.exists(owner, now) {
		return d.visible(owner, name, now), true
	}
	for parent := owner; parent != zone; {
		_, after, _ := strings.Cut(parent, ".")
		parent = after
		if !d.exists(parent, now) && parent != zone {
			continue
		}
		wild := "*." + parent
		return d.visible(wild, name, now), d.exists(wild, now)
	}
	return nil, false
}

// exists reports whether there are records at owner or below it.
func (d *DNS) exists(owner string, now time.Time) bool {
	for name, records := range d.records {
		if dns.IsSubDomain(owner, name) && slices.ContainsFunc(records, func(r record) bool { return r.visible(now) }) {
			return true
		}
	}
	return false
}

// visible returns copies of the visible records of owner, owned by name.
func (d *DNS) visible(owner, name string, now time.Time) []dns.RR {
	var rrs []dns.RR
	for _, r := range d.records[owner] {
		if r.visible(now) {
			rr := dns.Copy(r.rr)
			rr.Header().Name = name
			rrs = append(rrs, rr)
		}
	}
	return rrs
}

func (r record) visible(now time.Time) bool {
	return !now.Before(r.from) && (r.until.IsZero() || now.Before(r.until))
}
