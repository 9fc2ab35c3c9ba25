package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/renew/problem"
)

// The ways in which a Matrix domain can delegate.
const (
	ToWellKnown = "well-known"
	ToSRV       = "srv"
)

// A Goal says where a Matrix domain moves to.
type Goal struct {
	To string // ToWellKnown or ToSRV; empty means ToWellKnown

	// Server is the homeserver, "host:port", as other homeservers will reach
	// it; empty means the one they reach today.
	Server string

	// Since is when the records and documents of today were published; zero
	// means just now.
	Since time.Time
}

// Kinds of a Change.
const (
	added    = "new"
	gone     = "gone"
	stricter = "stricter"
	eased    = "eased"
	same     = "same"
)

// A Change is a row that a move adds, removes, or changes in strictness.
type Change struct {
	Kind string               `json:"kind"` // new, gone, stricter, eased or same
	Was  discover.Strictness  `json:"was,omitempty"`
	Row  discover.Requirement `json:"row"` // after the move; if it is gone, before
}

// A File is a document to publish.
type File struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// A Wait is a time to wait for caches.
type Wait struct {
	For  time.Duration
	Text string // with the time
}

// MarshalJSON writes the time as whole seconds.
func (w Wait) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Seconds int64  `json:"seconds"`
		Text    string `json:"text"`
	}{int64(w.For / time.Second), w.Text})
}

// A Plan is a move of the federation of a Matrix domain. Now and After have other
// services too, since they may need the same names.
type Plan struct {
	Domain string `json:"domain"`
	To     string `json:"to"`
	Server string `json:"server"` // the homeserver

	Now   discover.Answer `json:"now"`   // what is found today
	After discover.Answer `json:"after"` // what would be found after the move

	Changes []Change `json:"changes"` // of Matrix
	Publish []File   `json:"publish,omitempty"`
	Records []string `json:"records,omitempty"` // to publish, as lines of a zone file
	Remove  []string `json:"remove,omitempty"`  // in the end
	Waits   []Wait   `json:"waits"`             // one after the other, from when all is published or removed

	// Drop are the names that certificates no longer need once the plan is Safe,
	// with what remains of the need; Keep is what these names are still needed
	// for.
	Drop  []string `json:"drop"`
	Keep  []string `json:"keep,omitempty"`
	Notes []string `json:"notes,omitempty"` // for the operator

	// Safe reports whether the move is made, every address agrees, and all waits
	// are over: there are no Blockers.
	Safe     bool      `json:"safe"`
	Blockers []string  `json:"blockers,omitempty"`
	When     time.Time `json:"when,omitzero"` // the waits end; zero without Since
}

// Wait returns the sum of all waits.
func (p *Plan) Wait() time.Duration {
	var sum time.Duration
	for _, w := range p.Waits {
		sum += w.For
	}
	return sum
}

// Make returns the plan of a move. It queries DNS and fetches documents as Discover
// does, and asks the homeservers found for their names. It changes nothing.
func Make(ctx context.Context, d *discover.Discoverer, domain string, goal Goal) (Plan, error) {
	goal.To = cmp.Or(goal.To, ToWellKnown)
	if goal.To != ToWellKnown && goal.To != ToSRV {
		return Plan{}, problem.Newf("write one of: "+ToWellKnown+", "+ToSRV, "planning: a move to %q", goal.To)
	}
	asking := *d
	asking.Ask = true
	s, err := asking.Begin(domain, nil, nil)
	if err != nil {
		return Plan{}, err
	}
	name := s.Name()
	if name.Port != 0 || name.IP.IsValid() {
		return Plan{}, problem.New("planning: "+domain+" is a server name with a port or an address: homeservers ask for neither documents nor SRV records", "name a domain, without a port")
	}
	p := Plan{Domain: name.Host, To: goal.To}
	if p.Now, err = s.Answer(ctx); err != nil {
		return Plan{}, err
	}
	server, err := p.server(goal)
	if err != nil {
		return Plan{}, err
	}
	p.Server = server.String()
	after, err := s.Suppose(p.supposition(server)).Answer(ctx)
	if err != nil {
		return Plan{}, err
	}
	p.After = p.withOthers(after)
	p.compare()
	if goal.To == ToWellKnown {
		p.toWellKnown(server)
	} else {
		p.toSRV(server)
	}
	p.keep(server)
	p.findBlockers(goal, server, time.Now())
	return p, nil
}

// withOthers adds what is found today of other services to an answer about Matrix.
func (p *Plan) withOthers(after discover.Answer) discover.Answer {
	after.Services, after.Problems = p.Now.Services, nil // problems are of today
	for _, row := range p.Now.Requirements {
		if row.Service != "matrix" {
			after.Requirements = append(after.Requirements, row)
		}
	}
	for _, doc := range p.Now.Documents {
		if doc.Service != "matrix" {
			after.Documents = append(after.Documents, doc)
		}
	}
	return after
}

// server returns the homeserver: of the goal, or the one most peers reach today.
func (p *Plan) server(goal Goal) (records.ServerName, error) {
	if goal.Server != "" {
		name, err := records.ParseServerName(goal.Server)
		switch {
		case err != nil:
			return name, err
		case name.Port == 0:
			return name, problem.New("planning: "+goal.Server+" has no port", "write it with the port, such as "+goal.Server+":8448: without one, homeservers look for SRV records again")
		case goal.To == ToSRV && name.IP.IsValid():
			return name, problem.New("planning: SRV records name hosts, not addresses", "give a host name")
		}
		return name, nil
	}
	for _, row := range p.federation() {
		host := row.Endpoint.Host
		ip, err := netip.ParseAddr(host)
		if named := err != nil && records.HostFault(host, false) == ""; host != p.Domain && (named || err == nil && goal.To == ToWellKnown) {
			return records.ServerName{Host: host, IP: ip, Port: row.Endpoint.Port}, nil
		}
	}
	return records.ServerName{}, problem.New("planning: nothing names another host than "+p.Domain, "say where the homeserver is: its host and port")
}

// federation returns the rows of homeservers that have an endpoint today.
func (p *Plan) federation() []discover.Requirement {
	return slices.DeleteFunc(slices.Clone(p.Now.Requirements), func(r discover.Requirement) bool {
		return r.Role != "federation" || r.Endpoint.Host == ""
	})
}

// supposition returns what is published after the move.
func (p *Plan) supposition(server records.ServerName) discover.Supposition {
	if p.To == ToSRV {
		return discover.Supposition{SRV: &server}
	}
	sup := discover.Supposition{Document: &server}
	if p.document("client") == nil {
		sup.Client = "https://" + (records.ServerName{Host: server.Host, IP: server.IP}).String()
	}
	return sup
}

// document returns today's well-known document for "server" or "client"; nil if
// there is none.
func (p *Plan) document(kind string) *web.Document {
	for i, d := range p.Now.Documents {
		if d.URL == "https://"+p.Domain+"/.well-known/matrix/"+kind && d.State == records.Found {
			return &p.Now.Documents[i]
		}
	}
	return nil
}

// unread reports whether it is not known what today's well-known document says.
func (p *Plan) unread(kind string) bool {
	return p.document(kind) == nil && slices.ContainsFunc(p.Now.Documents, func(d web.Document) bool {
		return d.URL == "https://"+p.Domain+"/.well-known/matrix/"+kind && (d.State == records.Undetermined || slices.ContainsFunc(d.Fetches, web.Fetch.Fails))
	})
}

// matrixRows returns the rows of Matrix.
func matrixRows(a discover.Answer) []discover.Requirement {
	return slices.DeleteFunc(slices.Clone(a.Requirements), func(r discover.Requirement) bool { return r.Service != "matrix" })
}

// compare sets Changes.
func (p *Plan) compare() {
	match := func(list []discover.Requirement, row discover.Requirement) *discover.Requirement {
		i := slices.IndexFunc(list, func(o discover.Requirement) bool {
			return o.Role == row.Role && o.Endpoint == row.Endpoint && o.SNI == row.SNI && slices.Equal(o.Accept, row.Accept)
		})
		if i < 0 {
			return nil
		}
		return &list[i]
	}
	for _, row := range matrixRows(p.After) {
		c := Change{Kind: added, Row: row}
		if old := match(p.Now.Requirements, row); old != nil {
			c.Was = old.Enforcement
			switch d := row.Enforcement.Compare(old.Enforcement); {
			case d < 0:
				c.Kind = stricter
			case d > 0:
				c.Kind = eased
			default:
				c.Kind = same
			}
		}
		p.Changes = append(p.Changes, c)
	}
	for _, row := range matrixRows(p.Now) {
		if match(p.After.Requirements, row) == nil {
			p.Changes = append(p.Changes, Change{Kind: gone, Was: row.Enforcement, Row: row})
		}
	}
}
