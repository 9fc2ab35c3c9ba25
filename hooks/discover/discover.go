// Package discover finds out who looks where for the services of a domain, and
// which name each of them expects there on the certificate.
//
// A [Discoverer] asks DNS and fetches the few public documents that lead peers
// on, exactly as the peers do: [Discoverer.Discover] returns an [Answer] of
// [Requirement] rows, each with the evidence that led to it. [Discoverer.Plan]
// says what would change if a Matrix domain moved from SRV records to a
// well-known document, or back. What a row's endpoint really serves is the
// business of hooks/probe.
//
// The package goes where the domain asked about sends it, also to private
// addresses: records, documents and redirects decide which hosts are visited.
// It sends nothing but GET requests over TLS (and the start of a handshake),
// without credentials, cookies or client certificates, through no proxy, and
// shows what comes back in parsed form only. A service that discovers domains
// on behalf of strangers should run it where nothing private can be reached.
// Time and memory are bounded whatever the other side does.
//
// Nothing is concluded from silence: NXDOMAIN, no such record, the target "."
// and a resolver that fails are different answers, and the last one is said to
// be undetermined.
package discover

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds that a Discoverer has when none are given.
const (
	DefaultQuery = 3 * time.Second
	DefaultFetch = 10 * time.Second
	DefaultLimit = time.Minute
)

// A Discoverer asks one set of resolvers. The zero value asks the system's.
type Discoverer struct {
	// Resolvers are asked one after the other until one knows: an address,
	// with a port if it is not 53. Their word on DNSSEC is believed. Empty:
	// those of /etc/resolv.conf.
	Resolvers []string
	// Resolve says where names are, whatever DNS says of their addresses, so
	// that a move can be rehearsed. The names are in lower case.
	Resolve map[string][]netip.Addr
	// Roots are trusted in place of the system's; nil: the system's.
	Roots *x509.CertPool
	// Ask has the Matrix servers found asked who they are.
	Ask bool

	Query time.Duration // for one try at one resolver; zero means DefaultQuery
	Fetch time.Duration // for one document with its redirects; zero means DefaultFetch
	Limit time.Duration // for one Discover; zero means DefaultLimit
	Log   *slog.Logger  // nil: nothing is logged
}

// A finder finds the rows of one service.
type finder func(r *run, ctx context.Context, s *section, name ServerName, components []string)

// service is one that can be asked for by name.
type service struct {
	name    string
	finders []finder
}

// services in the order of an Answer. "mail" is "smtp" and "imap" together.
var services = []service{
	{"matrix", []finder{(*run).federation, (*run).matrixClient}},
	{"xmpp", []finder{(*run).xmpp, (*run).hostMeta}},
	{"smtp", []finder{(*run).smtp}},
	{"imap", []finder{(*run).mailAccess, (*run).autoconfig}},
	{"caldav", []finder{(*run).dav}},
	{"sip", []finder{(*run).sip}},
	{"web", []finder{(*run).web}},
}

// Services returns what may be asked for.
func Services() []string {
	list := []string{"mail"}
	for _, s := range services {
		list = append(list, s.name)
	}
	slices.Sort(list)
	return list
}

// A ServiceError reports a service that is none of Services.
type ServiceError struct{ Service string }

func (e *ServiceError) Error() string { return fmt.Sprintf("unknown service %q", e.Service) }

// Remedy names those there are.
func (e *ServiceError) Remedy() string { return "one of " + strings.Join(Services(), ", ") }

// Discover finds what the services of a domain need; no services: all of them.
// Components are further XMPP domains, such as conference.example.org. For
// "matrix" alone the domain may be any server name, with a port or an IP
// address. An error means that the question was wrong or ctx has ended: what
// cannot be found out is in the Answer.
func (d *Discoverer) Discover(ctx context.Context, domain string, names, components []string) (Answer, error) {
	r, err := d.begin(domain, names, components)
	if err != nil {
		return Answer{}, err
	}
	limited, cancel := context.WithTimeout(ctx, orElse(d.Limit, DefaultLimit))
	defer cancel()
	a := r.answer(limited)
	if ctx.Err() != nil { // an interrupt is not an answer
		return Answer{}, context.Cause(ctx)
	}
	return a, nil
}

// A run is one Discover under way.
type run struct {
	d          *Discoverer
	name       ServerName
	domain     string
	services   []service
	components []string
	asks       bool // homeservers, who they are

	from      []string // resolvers
	resolveTo map[string][]netip.Addr
	supposed  map[string]supposition // by host
	log       *slog.Logger
	slots     chan struct{} // DNS questions under way
	visits    chan struct{} // documents under way

	mu      sync.Mutex
	asked   int
	fetched int
	replies map[question]*onceReply
}

// begin checks what is asked for.
func (d *Discoverer) begin(domain string, names, components []string) (*run, error) {
	r := &run{
		d: d, asks: d.Ask, from: d.resolvers(), resolveTo: map[string][]netip.Addr{},
		log: d.Log, slots: make(chan struct{}, 16), visits: make(chan struct{}, 16),
		replies: map[question]*onceReply{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	for name, addrs := range d.Resolve {
		r.resolveTo[canonical(name)] = addrs
	}
	var err error
	if r.name, err = ParseServerName(strings.TrimSuffix(domain, ".")); err != nil {
		return nil, err
	}
	r.domain = r.name.String()
	if r.services, err = chosen(names); err != nil {
		return nil, err
	}
	if len(names) == 0 && (r.name.Port != 0 || r.name.IP.IsValid()) {
		r.services = services[:1]
	}
	if r.name.Port != 0 || r.name.IP.IsValid() {
		for _, s := range r.services {
			if s.name != "matrix" {
				return nil, &NameError{domain, fmt.Sprintf("%q needs a domain, without a port", s.name)}
			}
		}
	}
	for _, c := range components {
		c = canonical(c)
		if why := notHost(c, false); why != "" {
			return nil, &NameError{c, why}
		}
		if c != r.name.Host && !slices.Contains(r.components, c) {
			r.components = append(r.components, c)
		}
	}
	return r, nil
}

// chosen returns the services by their names, in our order.
func chosen(names []string) ([]service, error) {
	if len(names) == 0 {
		return services, nil
	}
	wanted := map[string]bool{}
	for _, n := range names {
		if !slices.Contains(Services(), n) {
			return nil, &ServiceError{n}
		}
		wanted[n] = true
	}
	var list []service
	for _, s := range services {
		if wanted[s.name] || wanted["mail"] && (s.name == "smtp" || s.name == "imap") {
			list = append(list, s)
		}
	}
	return list, nil
}

// answer runs all finders at once and puts what they find in order.
func (r *run) answer(ctx context.Context) Answer {
	a := Answer{Domain: r.domain, Components: r.components, Time: time.Now().UTC(), Resolvers: r.from}
	var sections []*section
	var wg sync.WaitGroup
	for _, svc := range r.services {
		a.Services = append(a.Services, svc.name)
		for _, find := range svc.finders {
			s := &section{service: svc.name, identity: r.name.Host}
			sections = append(sections, s)
			wg.Go(func() { find(r, ctx, s, r.name, r.components) })
		}
	}
	wg.Wait()
	for _, s := range sections {
		a.Requirements = append(a.Requirements, s.rows...)
		a.Documents = append(a.Documents, s.documents...)
		a.Problems = append(a.Problems, s.problems...)
	}
	return a
}

func (d *Discoverer) queryTimeout() time.Duration { return orElse(d.Query, DefaultQuery) }

func orElse(d, other time.Duration) time.Duration {
	if d <= 0 {
		return other
	}
	return d
}
