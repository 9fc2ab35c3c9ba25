package discover

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

// evidence is what was asked and what DNS says.
func (rep reply) evidence(spec string) Evidence {
	says := rep.why
	if rep.state == Found {
		texts := make([]string, 0, len(rep.rrs))
		for _, rr := range rep.rrs {
			texts = append(texts, rdata(rr))
		}
		slices.Sort(texts) // servers rotate them
		says = strings.Join(texts, ", ")
		if len(rep.aliases) > 0 {
			says = "alias of " + rep.owner() + ": " + says
		}
	}
	return Evidence{
		What: dns.TypeToString[rep.kind] + " " + rep.name, State: rep.state, Says: says,
		Lasts: max(rep.lasts, 0), Secure: rep.secure, From: rep.from, Spec: spec,
	}
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

// A site is where a host is.
type site struct {
	state    State // Found, Absent or Undetermined
	why      string
	addrs    []netip.Addr
	partly   string // why there may be more addresses
	alias    string // the host's real name, if it is an alias
	secure   bool
	lasts    time.Duration
	evidence []Evidence
}

// addresses finds out where a host is: as it was told, or else by DNS.
func (r *Resolver) addresses(ctx context.Context, host string) site {
	if ip, err := netip.ParseAddr(host); err == nil {
		return site{state: Found, addrs: []netip.Addr{ip}}
	}
	if given, ok := r.given[host]; ok && len(given) == 0 {
		return site{state: Absent, why: host + " is supposed to have no address", evidence: []Evidence{{What: "address of " + host, State: Absent, Says: "none", From: "given"}}}
	} else if ok {
		texts := make([]string, 0, len(given))
		for _, a := range given {
			texts = append(texts, a.String())
		}
		return site{state: Found, addrs: given, evidence: []Evidence{{What: "address of " + host, State: Found, Says: strings.Join(texts, ", "), From: "given"}}}
	}
	var replies [2]reply
	var wg sync.WaitGroup
	for i, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		wg.Go(func() { replies[i] = r.resolve(ctx, host, kind) })
	}
	wg.Wait()
	return join(host, replies[0], replies[1])
}

// prefetch looks up the addresses of all targets at once, so that time-outs
// do not add up.
func (r *Resolver) prefetch(ctx context.Context, sets ...srvSet) {
	var wg sync.WaitGroup
	for _, set := range sets {
		for _, t := range set.targets {
			wg.Go(func() { r.addresses(ctx, t.host) })
		}
	}
	wg.Wait()
}

// ahead asks several questions at once, so that the answers are there when they
// are needed one after the other.
func (r *Resolver) ahead(ctx context.Context, kind uint16, names ...string) {
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() { r.resolve(ctx, name, kind) })
	}
	wg.Wait()
}

// join makes one of what DNS says of the two families.
func join(host string, four, six reply) site {
	s := site{secure: four.secure && six.secure, lasts: -1}
	dead, more := false, false
	for _, rep := range []reply{four, six} {
		s.evidence = append(s.evidence, rep.evidence(""))
		if len(rep.aliases) > 0 {
			s.alias = rep.owner()
		}
		if rep.state != Undetermined && (s.lasts < 0 || rep.lasts < s.lasts) {
			s.lasts = rep.lasts
		}
		for _, rr := range rep.rrs {
			switch a, ok := addrOf(rr); {
			case ok && (a.IsUnspecified() || a.IsMulticast()):
				dead = true
			case ok:
				s.addrs = append(s.addrs, a)
			}
		}
		more = more || rep.cut > 0
	}
	slices.SortFunc(s.addrs, netip.Addr.Compare)
	s.addrs = slices.Compact(s.addrs)
	unsure := cmp.Or(undecided(four), undecided(six))
	if more || len(s.addrs) > maxAddrs {
		s.addrs = s.addrs[:min(len(s.addrs), maxAddrs)]
		unsure = cmp.Or(unsure, fmt.Sprintf("there are more than the %d that are looked at", len(s.addrs)))
	}
	switch {
	case len(s.addrs) > 0:
		s.state, s.partly = Found, unsure
	case unsure != "":
		s.state, s.why = Undetermined, unsure
	case dead:
		s.state, s.why = Absent, host+" has no address that can be reached"
	case four.state == Absent && strings.HasPrefix(four.why, "NXDOMAIN"):
		s.state, s.why = Absent, host+" does not exist ("+four.why+")"
	default:
		s.state, s.why = Absent, host+" has no address"
	}
	return s
}

// undecided says what is not known of a family of addresses.
func undecided(rep reply) string {
	if rep.state != Undetermined {
		return ""
	}
	return fmt.Sprintf("%s of %s: %s", dns.TypeToString[rep.kind], rep.name, rep.why)
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

// A target is one host that an SRV or MX record names.
type target struct {
	host             string
	port             uint16
	priority, weight uint16
}

// A srvSet is what SRV records say of a service (RFC 2782).
type srvSet struct {
	reply
	state   State // Disabled too, unlike reply's
	targets []target
	faults  []string
}

// srv looks up the targets of a service, all of them: each must serve.
func (r *Resolver) srv(ctx context.Context, name string) srvSet {
	set := srvSet{reply: r.resolve(ctx, name, dns.TypeSRV)}
	set.state = set.reply.state
	if set.state != Found {
		return set
	}
	refusals := 0
	set.faults = set.tooMany()
	for _, rr := range set.rrs {
		rr := rr.(*dns.SRV)
		host := canonical(rr.Target)
		switch {
		case host == "":
			refusals++
		case notHost(host, true) != "":
			set.faults = append(set.faults, fmt.Sprintf("SRV %s names a target that is no host: %s", name, notHost(host, true)))
		case rr.Port == 0:
			set.faults = append(set.faults, fmt.Sprintf("SRV %s names port 0 of %s", name, host))
		default:
			set.targets = append(set.targets, target{host, rr.Port, rr.Priority, rr.Weight})
		}
	}
	slices.SortFunc(set.targets, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(b.weight, a.weight), cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port))
	})
	set.targets = slices.Compact(set.targets)
	switch {
	case len(set.targets) == 0 && refusals > 0:
		set.state, set.why = Disabled, `the target is ".": the service is not offered`
	case len(set.targets) == 0:
		set.state, set.why = Undetermined, "none of its targets can be used"
	case refusals > 0:
		set.faults = append(set.faults, fmt.Sprintf(`SRV %s has the target "." beside others: that means "not offered" only when it is alone`, name))
	}
	return set
}
