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

// Evidence is what was asked and what DNS says.
func (rep Reply) Evidence(spec string) Evidence {
	says := rep.Why
	if rep.State == Found {
		texts := make([]string, 0, len(rep.RRs))
		for _, rr := range rep.RRs {
			texts = append(texts, rdata(rr))
		}
		slices.Sort(texts) // servers rotate them
		says = strings.Join(texts, ", ")
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

// kindOf returns the kind of evidence that records of a type are.
func kindOf(rrtype uint16) Kind {
	if rrtype == dns.TypeA || rrtype == dns.TypeAAAA {
		return KindAddress
	}
	return KindOther
}

// rdata is a record without its owner, as a zone file has it. The dns package
// escapes what is not printable.
func rdata(rr dns.RR) string {
	s := strings.TrimPrefix(rr.String(), rr.Header().String())
	if strings.HasSuffix(s, " .") {
		return s
	}
	return strings.TrimSuffix(s, ".")
}

// A Site is where a host is.
type Site struct {
	State      State // Found, Absent or Undetermined
	Why        string
	Reason     string // Why, without the host; empty: the same
	NoName     bool   // Absent, since there is no such name at all
	Addrs      []netip.Addr
	Incomplete string // why there may be more addresses
	Alias      string // the host's real name, if it is an alias
	Secure     bool
	TTL        time.Duration
	Evidence   []Evidence
}

// Addresses finds out where a host is: as it was told, or else by DNS.
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

// PrefetchTargets looks up the addresses of all targets at once, so that time-outs
// do not add up.
func (r *Resolver) PrefetchTargets(ctx context.Context, sets ...SRVSet) {
	var wg sync.WaitGroup
	for _, set := range sets {
		for _, t := range set.Targets {
			wg.Go(func() { r.Addresses(ctx, t.Host) })
		}
	}
	wg.Wait()
}

// Prefetch asks several questions at once, so that the answers are there when they
// are needed one after the other.
func (r *Resolver) Prefetch(ctx context.Context, kind uint16, names ...string) {
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() { r.Query(ctx, name, kind) })
	}
	wg.Wait()
}

// join makes one of what DNS says of the two families.
func join(host string, four, six Reply) Site {
	s := Site{Secure: four.Secure && six.Secure, TTL: -1}
	dead, more := false, false
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
				dead = true
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
		unsure = cmp.Or(unsure, fmt.Sprintf("there are more than the %d that are looked at", len(s.Addrs)))
	}
	switch {
	case len(s.Addrs) > 0:
		s.State, s.Incomplete = Found, unsure
	case unsure != "":
		s.State, s.Why, s.Reason = Undetermined, unsure, reason
	case dead:
		s.State, s.Why = Absent, host+" has no address that can be reached"
	case four.NoName:
		s.State, s.Why, s.Reason, s.NoName = Absent, host+" does not exist ("+four.Why+")", "no such name ("+four.Why+")", true
	default:
		s.State, s.Why = Absent, host+" has no address"
	}
	return s
}

// undecided says what is not known of a family of addresses, with and without the
// name.
func undecided(rep Reply) (why, reason string) {
	if rep.State != Undetermined {
		return "", ""
	}
	return fmt.Sprintf("%s of %s: %s", dns.TypeToString[rep.kind], rep.Name, rep.Why), rep.Why
}

// addrOf reads an address record.
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

// A SRVSet is what SRV records say of a service (RFC 2782).
type SRVSet struct {
	Reply
	State   State // Disabled too, unlike reply's
	Targets []Target
	Faults  []string
}

// SRV looks up the targets of a service, all of them: each must serve.
func (r *Resolver) SRV(ctx context.Context, name string) SRVSet {
	set := SRVSet{Reply: r.Query(ctx, name, dns.TypeSRV)}
	set.State = set.Reply.State
	if set.State != Found {
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
			set.Faults = append(set.Faults, fmt.Sprintf("SRV %s names a target that is no host: %s", name, HostFault(host, true)))
		case rr.Port == 0:
			set.Faults = append(set.Faults, fmt.Sprintf("SRV %s names port 0 of %s", name, host))
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
		set.State, set.Why = Disabled, `the target is ".": the service is not offered`
	case len(set.Targets) == 0:
		set.State, set.Why = Undetermined, "none of its targets can be used"
	case refusals > 0:
		set.Faults = append(set.Faults, fmt.Sprintf(`SRV %s has the target "." beside others: that means "not offered" only when it is alone`, name))
	}
	return set
}

// Reason returns why there are no targets.
func (set SRVSet) Reason() string {
	return fmt.Sprintf("SRV %s: %s", set.Name, set.Why)
}

// Decisive reports whether a look-up settles the matter: only what is known to be
// absent lets peers look further.
func (set SRVSet) Decisive() bool { return set.State != Absent }
