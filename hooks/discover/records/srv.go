package records

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Evidence returns the query and its result as evidence.
func (rep Reply) Evidence(spec string) Evidence {
	says := rep.Why
	if rep.State == Found {
		says = strings.ReplaceAll(rep.data(), "\n", ", ")
		if len(rep.aliases) > 0 {
			says = "alias of " + rep.Owner() + ": " + says
		}
	}
	srv := ""
	if rep.kind == dns.TypeSRV {
		srv = rep.Name
	}
	return Evidence{
		Kind: kindOf(rep.kind), SRV: srv, What: dns.TypeToString[rep.kind] + " " + rep.Name, State: rep.State, Says: says,
		Lasts: max(rep.TTL, 0), Secure: rep.Secure, From: rep.From, Spec: spec,
	}
}

// kindOf returns the kind of evidence for records of a type.
func kindOf(rrtype uint16) Kind {
	if rrtype == dns.TypeA || rrtype == dns.TypeAAAA {
		return KindAddress
	}
	return KindOther
}

// rdata returns the data of a record as in a zone file. The dns package escapes
// bytes that are not printable.
func rdata(rr dns.RR) string {
	s := strings.TrimPrefix(rr.String(), rr.Header().String())
	if strings.HasSuffix(s, " .") {
		return s
	}
	return strings.TrimSuffix(s, ".")
}

// A Site holds the addresses of a host.
type Site struct {
	State      State // Found, Absent or Undetermined
	Why        string
	Reason     string // Why, without the host; empty: the same
	NoName     bool   // Absent because the name does not exist
	Addrs      []netip.Addr
	Incomplete string // why there may be more addresses
	Alias      string // the canonical name of the host, if it is an alias
	Secure     bool
	TTL        time.Duration
	Evidence   []Evidence
}

// Addresses returns the addresses of a host: those given to NewResolver, else those
// in DNS.
func (r *Resolver) Addresses(ctx context.Context, host string) Site {
	if ip, err := netip.ParseAddr(host); err == nil {
		return Site{State: Found, Addrs: []netip.Addr{ip}}
	}
	if given, ok := r.given[host]; ok && len(given) == 0 {
		return Site{State: Absent, Why: host + " is supposed to have no address", Evidence: []Evidence{{Kind: KindAddress, What: "address of " + host, State: Absent, Says: "none", From: "given"}}}
	} else if ok {
		texts := make([]string, 0, len(given))
		for _, a := range given {
			texts = append(texts, a.String())
		}
		return Site{State: Found, Addrs: given, Evidence: []Evidence{{Kind: KindAddress, What: "address of " + host, State: Found, Says: strings.Join(texts, ", "), From: "given"}}}
	}
	var replies [2]Reply
	var wg sync.WaitGroup
	for i, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		wg.Go(func() { replies[i] = r.Query(ctx, host, kind) })
	}
	wg.Wait()
	return join(host, replies[0], replies[1])
}

// PrefetchTargets looks up the addresses of all targets in parallel, so that
// time-outs do not add up.
func (r *Resolver) PrefetchTargets(ctx context.Context, sets ...SRVSet) {
	var wg sync.WaitGroup
	for _, set := range sets {
		for _, t := range set.Targets {
			wg.Go(func() { r.Addresses(ctx, t.Host) })
		}
	}
	wg.Wait()
}

// Prefetch sends queries in parallel, so that later calls of Query find the replies in
// the cache.
func (r *Resolver) Prefetch(ctx context.Context, kind uint16, names ...string) {
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() { r.Query(ctx, name, kind) })
	}
	wg.Wait()
}

// join combines the replies for the two address families.
func join(host string, four, six Reply) Site {
	s := Site{Secure: four.Secure && six.Secure, TTL: -1}
	unusable, more := false, false
	for _, rep := range []Reply{four, six} {
		s.Evidence = append(s.Evidence, rep.Evidence(""))
		if len(rep.aliases) > 0 {
			s.Alias = rep.Owner()
		}
		if rep.State != Undetermined && (s.TTL < 0 || rep.TTL < s.TTL) {
			s.TTL = rep.TTL
		}
		for _, rr := range rep.RRs {
			switch a, ok := addrOf(rr); {
			case ok && (a.IsUnspecified() || a.IsMulticast()):
				unusable = true
			case ok:
				s.Addrs = append(s.Addrs, a)
			}
		}
		more = more || rep.cut > 0
	}
	slices.SortFunc(s.Addrs, netip.Addr.Compare)
	s.Addrs = slices.Compact(s.Addrs)
	unsure, reason := undecided(four)
	if unsure == "" {
		unsure, reason = undecided(six)
	}
	if more || len(s.Addrs) > MaxAddrs {
		s.Addrs = s.Addrs[:min(len(s.Addrs), MaxAddrs)]
		unsure = cmp.Or(unsure, fmt.Sprintf("only %d of its addresses are checked", len(s.Addrs)))
	}
	switch {
	case len(s.Addrs) > 0:
		s.State, s.Incomplete = Found, unsure
	case unsure != "":
		s.State, s.Why, s.Reason = Undetermined, unsure, reason
	case unusable:
		s.State, s.Why = Absent, host+" has no usable address"
	case four.NoName:
		s.State, s.Why, s.Reason, s.NoName = Absent, host+" does not exist ("+four.Why+")", "no such name ("+four.Why+")", true
	default:
		s.State, s.Why = Absent, host+" has no address"
	}
	return s
}

// undecided returns why the addresses of one family are not known, with and without
// the name, or "".
func undecided(rep Reply) (why, reason string) {
	if rep.State != Undetermined {
		return "", ""
	}
	return fmt.Sprintf("%s of %s: %s", dns.TypeToString[rep.kind], rep.Name, rep.Why), rep.Why
}

// addrOf returns the address in an A or AAAA record.
func addrOf(rr dns.RR) (netip.Addr, bool) {
	var ip net.IP
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// A Target is one host that an SRV or MX record names.
type Target struct {
	Host             string
	Port             uint16
	Priority, weight uint16
}

// A SRVSet holds the SRV records of a service (RFC 2782).
type SRVSet struct {
	Reply
	State   State // may also be Disabled
	Targets []Target
	Faults  []string
}

// SRV looks up all targets of a service: each must serve it.
func (r *Resolver) SRV(ctx context.Context, name string) SRVSet {
	set := SRVSet{Reply: r.Query(ctx, name, dns.TypeSRV)}
	set.State = set.Reply.State
	if set.State != Found {
		return set
	}
	if set.From != supposed && r.byWildcard(ctx, set.Reply) {
		set.State, set.Why = Absent, "only a wildcard has it"
		return set
	}
	refusals := 0
	set.Faults = set.TooMany()
	for _, rr := range set.RRs {
		rr := rr.(*dns.SRV)
		host := Canonical(rr.Target)
		switch {
		case host == "":
			refusals++
		case HostFault(host, true) != "":
			set.Faults = append(set.Faults, fmt.Sprintf("SRV %s has a target that is not a host name: %s", name, HostFault(host, true)))
		case rr.Port == 0:
			set.Faults = append(set.Faults, fmt.Sprintf("SRV %s has port 0 for %s", name, host))
		default:
			set.Targets = append(set.Targets, Target{host, rr.Port, rr.Priority, rr.Weight})
		}
	}
	slices.SortFunc(set.Targets, func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.weight, a.weight), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	set.Targets = slices.Compact(set.Targets)
	switch {
	case len(set.Targets) == 0 && refusals > 0:
		set.State, set.Why = Disabled, `the target is ".": the service is not available`
	case len(set.Targets) == 0:
		set.State, set.Why = Undetermined, "no usable target"
	case refusals > 0:
		set.Faults = append(set.Faults, fmt.Sprintf(`SRV %s has the target "." and others: "." means "not available" only if it is the only one`, name))
	}
	return set
}

// Reason returns why there are no targets.
func (set SRVSet) Reason() string {
	return fmt.Sprintf("SRV %s: %s", set.Name, set.Why)
}

// Decisive reports whether peers use this set: only if it is known to be absent do
// they try other records.
func (set SRVSet) Decisive() bool { return set.State != Absent }
