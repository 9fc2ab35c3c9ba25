package discover

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/hooks/probe"
)

// A Strictness says what becomes of a peer that is shown another name.
type Strictness string

// The degrees of strictness.
const (
	Must   Strictness = "must"   // it goes away
	Should Strictness = "should" // some do, or all do under circumstances that Requirement.When names
	Info   Strictness = "info"   // nobody minds today
)

// Compare orders the strictest first.
func (s Strictness) Compare(o Strictness) int {
	order := []Strictness{Must, Should, Info}
	return slices.Index(order, s) - slices.Index(order, o)
}

// A Requirement is one row of an Answer: some peers go to an endpoint and want
// to see a name there.
type Requirement struct {
	Service  string        `json:"service"`             // one of Services
	Role     string        `json:"role"`                // what is there, such as "federation"
	From     string        `json:"-"`                   // the role of the document that redirected here; empty: none did
	Identity string        `json:"identity"`            // the domain or component whose service it is
	Step     string        `json:"step,omitempty"`      // of Matrix server discovery, such as "3.2"
	State    records.State `json:"state"`               //
	Why      string        `json:"why,omitempty"`       // the state is not Found
	Reason   string        `json:"-"`                   // Why, without the name asked for: the same for many rows; empty: Why
	When     string        `json:"when,omitempty"`      // peers come here only then; empty: always
	Default  bool          `json:"default,omitempty"`   // nothing names this endpoint: peers try it for lack of a record
	Endpoint Place         `json:"endpoint"`            // zero when there is none to name
	Addrs    []Addr        `json:"addresses,omitempty"` // where each is to be looked at

	SNI         string     `json:"sni,omitempty"`         // empty: none is sent
	Accept      []string   `json:"accept,omitempty"`      // the certificate is for any of these; empty: names do not matter
	AlsoSome    []string   `json:"also_some,omitempty"`   // peers that trust DNSSEC take these too; not to be relied upon
	NoWildcard  bool       `json:"no_wildcard,omitempty"` // "*.example.org" does not do
	ALPN        []string   `json:"alpn,omitempty"`
	HostHeader  string     `json:"host_header,omitempty"`
	ClientAuth  bool       `json:"client_auth,omitempty"` // the server uses its certificate as a client too
	TLSA        []TLSA     `json:"tlsa,omitempty"`        // DANE: the certificate matches one of these
	CheckedBy   string     `json:"checked_by,omitempty"`
	Enforcement Strictness `json:"enforcement,omitempty"`

	Evidence []records.Evidence `json:"evidence"` // what led here, in the order it was asked
}

// A Place is where an endpoint is, and how to get to TLS there.
type Place probe.Endpoint

// String writes the place as probe.ParseEndpoint reads it, empty for none.
func (p Place) String() string {
	if p.Host == "" {
		return ""
	}
	return probe.Endpoint(p).String()
}

// Full is String with the protocol in any case.
func (p Place) Full() string {
	if p.Proto == "" || p.Proto == "tls" {
		return "tls:" + strings.TrimPrefix(p.String(), "tls:")
	}
	return p.String()
}

// MarshalText is String.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// An Addr is an address of an endpoint's host.
type Addr = netip.Addr

// A Problem is something about the records or documents that a person should
// know, whatever certificate is served.
type Problem struct {
	Service string `json:"service"`
	Error   bool   `json:"error"` // some peers are turned away by it; else it is only a warning
	Text    string `json:"text"`
	Remedy  string `json:"remedy,omitempty"`

	InRow  bool `json:"-"` // it is the Why of a row, too
	Unsure bool `json:"-"` // it is about something that may be otherwise for others
}

// An Answer is what one domain needs.
type Answer struct {
	Domain       string         `json:"domain"`
	Services     []string       `json:"services"`
	Components   []string       `json:"components,omitempty"`
	Time         time.Time      `json:"time"`
	Resolvers    []string       `json:"resolvers"`
	Requirements []Requirement  `json:"requirements"`
	Documents    []web.Document `json:"documents,omitempty"` // every one that was fetched
	Problems     []Problem      `json:"problems,omitempty"`
}

// A Need is a name that some row accepts.
type Need struct {
	Name string        `json:"name"`
	For  []Requirement `json:"for"` // strictest first
}

// Needs turns the rows around: what each name is needed for. Rows without an
// endpoint and rows that accept any name are left out.
func (a Answer) Needs() []Need {
	var list []Need
	for _, r := range a.Requirements {
		if r.Endpoint.Host == "" || r.State == records.Disabled {
			continue
		}
		for _, name := range r.Accept {
			i := slices.IndexFunc(list, func(n Need) bool { return n.Name == name })
			if i < 0 {
				i = len(list)
				list = append(list, Need{Name: name})
			}
			list[i].For = append(list[i].For, r)
		}
	}
	for _, n := range list {
		slices.SortStableFunc(n.For, func(a, b Requirement) int { return a.Enforcement.Compare(b.Enforcement) })
	}
	return list
}

// Target is the row's endpoint as probe dials it.
func (r Requirement) Target() probe.Endpoint { return probe.Endpoint(r.Endpoint) }

// Lacks reports whether no endpoint is to be looked at: none is known, or missed.
func (r Requirement) Lacks() bool {
	return r.Endpoint.Host == "" || r.State == Absent && r.Enforcement == Info || r.State == Disabled
}

// same tells whether two rows ask the same of an endpoint.
func (r Requirement) same(o Requirement) bool {
	return r.Endpoint == o.Endpoint && r.SNI == o.SNI && slices.Equal(r.Accept, o.Accept) &&
		r.HostHeader == o.HostHeader && slices.Equal(r.ALPN, o.ALPN) && len(r.TLSA) == len(o.TLSA)
}

// Parts of an Answer that the packages below make.
type (
	State      = records.State
	Evidence   = records.Evidence
	ServerName = records.ServerName
	Document   = web.Document
)

// The states of a row, and the kind of evidence that a row does not show.
const (
	KindOther    = records.KindOther
	Found        = records.Found
	Absent       = records.Absent
	Disabled     = records.Disabled
	Undetermined = records.Undetermined
)

// ParseServerName reads a server name as records.ParseServerName does.
func ParseServerName(s string) (ServerName, error) { return records.ParseServerName(s) }
