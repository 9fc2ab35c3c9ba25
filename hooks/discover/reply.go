package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// A reply is what DNS says of one name and type, at the end of its aliases.
type reply struct {
	name    string
	kind    uint16
	state   State // Found, Absent or Undetermined
	why     string
	rrs     []dns.RR
	cut     int           // records beyond those
	aliases []string      // where CNAMEs lead, the last one is the owner
	lasts   time.Duration // the shortest time on the way
	secure  bool
	from    string
}

// resolve asks DNS, once for each question in one Discover.
func (r *Resolver) resolve(ctx context.Context, name string, kind uint16) reply {
	key := question{canonical(name), kind}
	r.mu.Lock()
	once := r.replies[key]
	if once == nil {
		once = &onceReply{done: make(chan struct{})}
		r.replies[key] = once
		r.mu.Unlock()
		once.reply = r.chase(ctx, key.name, kind)
		close(once.done)
		return once.reply
	}
	r.mu.Unlock()
	<-once.done // chase ends when ctx does, which is the same for all
	return once.reply
}

type question struct {
	name string
	kind uint16
}

type onceReply struct {
	done  chan struct{}
	reply reply
}

// chase follows aliases that the resolver has not followed itself, as an
// authoritative server does not when they lead out of its zones.
func (r *Resolver) chase(ctx context.Context, name string, kind uint16) reply {
	rep := reply{name: name, kind: kind, lasts: -1, secure: true}
	for range maxAliases {
		owner := rep.owner()
		in, from, err := r.ask(ctx, dns.Fqdn(owner), kind)
		if err != nil {
			rep.state, rep.why, rep.secure = Undetermined, err.Error(), false
			return rep
		}
		rep.from, rep.secure = from, rep.secure && in.AuthenticatedData
		if rep.take(in) {
			r.log.Debug("asked", "name", name, "type", dns.TypeToString[kind], "state", rep.state, "records", len(rep.rrs))
			return rep
		}
	}
	rep.state, rep.why, rep.rrs = Undetermined, fmt.Sprintf("more than %d aliases, or they go in circles", maxAliases), nil
	return rep
}

// tooMany is the fault of a set with more records than are looked at.
func (rep *reply) tooMany() []string {
	if rep.cut == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s %s has %d records: only %d are looked at", dns.TypeToString[rep.kind], rep.name, len(rep.rrs)+rep.cut, len(rep.rrs))}
}

// owner is the name at the end of the aliases.
func (rep *reply) owner() string {
	if len(rep.aliases) == 0 {
		return rep.name
	}
	return rep.aliases[len(rep.aliases)-1]
}

// take reads an answer about the owner, and says whether that is the end.
func (rep *reply) take(in *dns.Msg) bool {
	before := len(rep.aliases)
	for range maxAliases { // CNAMEs may be in any order
		target, ttl := alias(in, rep.owner())
		if target == "" || len(rep.aliases) >= maxAliases {
			break
		}
		rep.aliases = append(rep.aliases, target)
		rep.shorten(ttl)
	}
	for _, rr := range in.Answer {
		h := rr.Header()
		if h.Rrtype == rep.kind && canonical(h.Name) == rep.owner() {
			rep.rrs = append(rep.rrs, rr)
			rep.shorten(h.Ttl)
		}
	}
	rep.shed()
	negative, known := negativeTTL(in)
	switch {
	case len(rep.rrs) > 0:
		rep.state = Found
	case in.Rcode == dns.RcodeNameError:
		rep.state, rep.why = Absent, "NXDOMAIN"
		rep.shorten(negative)
	case known || len(rep.aliases) == before:
		rep.state, rep.why = Absent, "no such record"
		rep.shorten(negative)
	default:
		return false
	}
	if rep.state == Absent && len(rep.aliases) > 0 {
		rep.why += " at " + rep.owner()
	}
	return true
}

// shed keeps as many records as are looked at: the same ones each time, though
// servers rotate them.
func (rep *reply) shed() {
	if len(rep.rrs) <= maxRecords {
		return
	}
	texts := make(map[dns.RR]string, len(rep.rrs))
	for _, rr := range rep.rrs {
		texts[rr] = rr.String()
	}
	slices.SortFunc(rep.rrs, func(a, b dns.RR) int { return cmp.Compare(texts[a], texts[b]) })
	rep.cut = len(rep.rrs) - maxRecords
	rep.rrs = slices.Clone(rep.rrs[:maxRecords])
}

func (rep *reply) shorten(ttl uint32) {
	if d := time.Duration(ttl) * time.Second; rep.lasts < 0 || d < rep.lasts {
		rep.lasts = d
	}
}

// alias is where a CNAME leads.
func alias(in *dns.Msg, name string) (target string, ttl uint32) {
	for _, rr := range in.Answer {
		if c, ok := rr.(*dns.CNAME); ok && canonical(c.Hdr.Name) == name {
			return canonical(c.Target), c.Hdr.Ttl
		}
	}
	return "", 0
}

// negativeTTL is how long a "no" is kept (RFC 2308, section 5).
func negativeTTL(in *dns.Msg) (ttl uint32, known bool) {
	for _, rr := range in.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(soa.Hdr.Ttl, soa.Minttl), true
		}
	}
	return 0, false
}
