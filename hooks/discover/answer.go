package discover

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/hooks/probe"
	"keypaird/renew/netaddr"
)

// A Strictness says what a peer does if the certificate has another name.
type Strictness string

// The degrees of strictness.
const (
	Must   Strictness = "must"   // it disconnects
	Should Strictness = "should" // some disconnect, or all do in the case that Requirement.When names
	Info   Strictness = "info"   // no peer checks it today
)

// Compare orders the strictest first.
func (s Strictness) Compare(o Strictness) int {
	order := []Strictness{Must, Should, Info}
	return slices.Index(order, s) - slices.Index(order, o)
}

// A Requirement is one row of an Answer: peers connect to an endpoint and expect a
// name on its certificate.
type Requirement struct {
	Service  string        `json:"service"`             // one of Services
	Role     string        `json:"role"`                // of the endpoint, such as "federation"
	From     string        `json:"-"`                   // the role of the document that redirected here, if any
	Identity string        `json:"identity"`            // the domain or component that has the service
	Step     string        `json:"step,omitempty"`      // of Matrix server discovery, such as "3.2"
	State    records.State `json:"state"`               //
	Why      string        `json:"why,omitempty"`       // why the state is not Found
	Reason   string        `json:"-"`                   // Why without the name, so that many rows have the same; empty: Why
	When     string        `json:"when,omitempty"`      // when peers connect; empty: always
	Default  bool          `json:"default,omitempty"`   // peers try this endpoint because there is no record
	Endpoint Place         `json:"endpoint"`            // zero if there is none
	Alias    string        `json:"alias,omitempty"`     // the canonical name of its host, if that is an alias
	Addrs    []Addr        `json:"addresses,omitempty"` // each must serve the certificate

	SNI         string     `json:"sni,omitempty"`         // empty: peers send none
	Accept      []string   `json:"accept,omitempty"`      // the certificate must have one of these; empty: names do not matter
	AlsoSome    []string   `json:"also_some,omitempty"`   // peers that use DNSSEC may accept these too
	NoWildcard  bool       `json:"no_wildcard,omitempty"` // peers reject "*.example.org"
	ALPN        []string   `json:"alpn,omitempty"`
	HostHeader  string     `json:"host_header,omitempty"`
	ClientAuth  bool       `json:"client_auth,omitempty"` // the server also uses its certificate as a client
	TLSA        []TLSA     `json:"tlsa,omitempty"`        // DANE: the certificate must match one of these
	CheckedBy   string     `json:"checked_by,omitempty"`
	Enforcement Strictness `json:"enforcement,omitempty"`

	Evidence []records.Evidence `json:"evidence"` // for the row, in the order of the queries
}

// A Place is an endpoint: host, port and protocol.
type Place probe.Endpoint

// String returns the place in the form that probe.ParseEndpoint parses, "" for none.
func (p Place) String() string {
	if p.Host == "" {
		return ""
	}
	return probe.Endpoint(p).String()
}

// Full is String, always with the protocol.
func (p Place) Full() string {
	if p.Proto == "" || p.Proto == "tls" {
		return "tls:" + strings.TrimPrefix(p.String(), "tls:")
	}
	return p.String()
}

// MarshalText is String.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// An Addr is an address of the host of an endpoint.
type Addr = netip.Addr

// A Problem is a fault of the records or documents, whatever certificate is served.
type Problem struct {
	Service string `json:"service"`
	Error   bool   `json:"error"` // some peers cannot connect; otherwise it is a warning
	Text    string `json:"text"`
	Remedy  string `json:"remedy,omitempty"`

	InRow  bool `json:"-"` // a row has the same text as Why
	Unsure bool `json:"-"` // it is about something that may be otherwise for others
}

// An Answer contains what one domain needs.
type Answer struct {
	Domain       string         `json:"domain"`
	Services     []string       `json:"services"`
	Components   []string       `json:"components,omitempty"`
	Time         time.Time      `json:"time"`
	Resolvers    []string       `json:"resolvers"`
	Requirements []Requirement  `json:"requirements"`
	Documents    []web.Document `json:"documents,omitempty"` // all that were fetched
	Problems     []Problem      `json:"problems,omitempty"`

	limit func(host string) netaddr.Scope
}

// Limit returns how private the addresses may be of a host to which the records and
// documents of the domain lead.
func (a Answer) Limit(host string) netaddr.Scope { return a.limit(host) }

// A Need is a name with the rows that accept it.
type Need struct {
	Name string        `json:"name"`
	For  []Requirement `json:"for"` // strictest first
}

// Needs groups the rows by name. It leaves out rows without an endpoint and rows
// that accept any name.
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

// Target returns the endpoint in the form that probe uses.
func (r Requirement) Target() probe.Endpoint { return probe.Endpoint(r.Endpoint) }

// Lacks reports whether there is no endpoint to check: none is known or needed.
func (r Requirement) Lacks() bool {
	return r.Endpoint.Host == "" || r.State == Absent && r.Enforcement == Info || r.State == Disabled
}

// same reports whether two rows require the same of an endpoint.
func (r Requirement) same(o Requirement) bool {
	return r.Endpoint == o.Endpoint && r.SNI == o.SNI && slices.Equal(r.Accept, o.Accept) &&
		r.HostHeader == o.HostHeader && slices.Equal(r.ALPN, o.ALPN) && len(r.TLSA) == len(o.TLSA)
}

// Parts of an Answer from the packages below.
type (
	State      = records.State
	Evidence   = records.Evidence
	ServerName = records.ServerName
	Document   = web.Document
)

// The states of a row, and the kind of evidence that is not part of the row itself.
const (
	KindOther    = records.KindOther
	Found        = records.Found
	Absent       = records.Absent
	Disabled     = records.Disabled
	Undetermined = records.Undetermined
)

// ParseServerName is records.ParseServerName.
func ParseServerName(s string) (ServerName, error) { return records.ParseServerName(s) }
