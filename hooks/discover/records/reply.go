package records

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"

	"keypaird/acme/dns01/dnsquery"
)

// A Reply is what DNS says of one name and type, at the end of its aliases.
type Reply struct {
	Name    string
	kind    uint16
	State   State // Found, Absent or Undetermined
	Why     string
	NoName  bool // Absent, since there is no such name at all
	RRs     []dns.RR
	cut     int           // records beyond those
	aliases []string      // where CNAMEs lead, the last one is the owner
	TTL     time.Duration // the shortest time on the way
	Secure  bool
	From    string
}

// Query asks DNS, once for each question in one Discover.
func (r *Resolver) Query(ctx context.Context, name string, kind uint16) Reply {
	key := question{Canonical(name), kind}
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
	reply Reply
}

// chase follows aliases that the resolver has not followed itself, as an
// authoritative server does not when they lead out of its zones.
func (r *Resolver) chase(ctx context.Context, name string, kind uint16) Reply {
	rep := Reply{Name: name, kind: kind, TTL: -1, Secure: true}
	for range maxAliases {
		owner := rep.Owner()
		in, from, err := r.ask(ctx, dns.Fqdn(owner), kind)
		if err != nil {
			rep.State, rep.Why, rep.Secure = Undetermined, err.Error(), false
			return rep
		}
		rep.From, rep.Secure = from, rep.Secure && in.AuthenticatedData
		if rep.add(in) {
			r.log.Debug("asked", "name", name, "type", dns.TypeToString[kind], "state", rep.State, "records", len(rep.RRs))
			return rep
		}
	}
	rep.State, rep.Why, rep.RRs = Undetermined, fmt.Sprintf("more than %d aliases, or they go in circles", maxAliases), nil
	return rep
}

// TooMany is the fault of a set with more records than are looked at.
func (rep *Reply) TooMany() []string {
	if rep.cut == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s %s has %d records: only %d are looked at", dns.TypeToString[rep.kind], rep.Name, len(rep.RRs)+rep.cut, len(rep.RRs))}
}

// Owner is the name at the end of the aliases.
func (rep *Reply) Owner() string {
	if len(rep.aliases) == 0 {
		return rep.Name
	}
	return rep.aliases[len(rep.aliases)-1]
}

// add reads an answer about the owner, and says whether that is the end.
func (rep *Reply) add(in *dns.Msg) bool {
	before := len(rep.aliases)
	for range maxAliases { // CNAMEs may be in any order
		target, ttl := alias(in, rep.Owner())
		if target == "" || len(rep.aliases) >= maxAliases {
			break
		}
		rep.aliases = append(rep.aliases, target)
		rep.shorten(seconds(ttl))
	}
	for _, rr := range in.Answer {
		h := rr.Header()
		if h.Rrtype == rep.kind && Canonical(h.Name) == rep.Owner() {
			rep.RRs = append(rep.RRs, rr)
			rep.shorten(seconds(h.Ttl))
		}
	}
	rep.limit()
	negative, known := dnsquery.NegativeTTL(in)
	switch {
	case len(rep.RRs) > 0:
		rep.State = Found
	case in.Rcode == dns.RcodeNameError:
		rep.State, rep.Why, rep.NoName = Absent, "NXDOMAIN", true
		rep.shorten(negative)
	case known || len(rep.aliases) == before:
		rep.State, rep.Why = Absent, "no such record"
		rep.shorten(negative)
	default:
		return false
	}
	if rep.State == Absent && len(rep.aliases) > 0 {
		rep.Why += " at " + rep.Owner()
	}
	return true
}

// limit keeps as many records as are looked at: the same ones each time, though
// servers rotate them.
func (rep *Reply) limit() {
	if len(rep.RRs) <= MaxRecords {
		return
	}
	texts := make(map[dns.RR]string, len(rep.RRs))
	for _, rr := range rep.RRs {
		texts[rr] = rr.String()
	}
	slices.SortFunc(rep.RRs, func(a, b dns.RR) int { return cmp.Compare(texts[a], texts[b]) })
	rep.cut = len(rep.RRs) - MaxRecords
	rep.RRs = slices.Clone(rep.RRs[:MaxRecords])
}

func (rep *Reply) shorten(ttl time.Duration) {
	if rep.TTL < 0 || ttl < rep.TTL {
		rep.TTL = ttl
	}
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// alias is where a CNAME leads.
func alias(in *dns.Msg, name string) (target string, ttl uint32) {
	for _, rr := range in.Answer {
		if c, ok := rr.(*dns.CNAME); ok && Canonical(c.Hdr.Name) == name {
			return Canonical(c.Target), c.Hdr.Ttl
		}
	}
	return "", 0
}
