package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"keypaird/hooks/discover"
	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/renew/textfmt"
)

// Times of Synapse beyond those that the specification recommends: it varies its
// times by a tenth, and remembers for two hours that there was a document.
const (
	retryAfter    = discover.WellKnownRetry + discover.WellKnownRetry/10
	documentKnown = 2 * time.Hour
)

// toWellKnown plans the move from SRV records to documents.
func (p *Plan) toWellKnown(server records.ServerName) {
	base := "https://" + (records.ServerName{Host: server.Host, IP: server.IP}).String()
	client := map[string]any{"m.homeserver": map[string]any{"base_url": base}}
	if doc := p.document("client"); doc != nil { // keep what is in it
		_ = json.Unmarshal(doc.Good()[0].Body, &client)
	} else if !p.unread("client") {
		p.note("base_url %s is a guess, as nothing names it today: check where clients are to go", base)
	}
	p.severalTargets()
	p.Publish = []File{p.file("server", map[string]any{"m.server": server.String()})}
	if p.unread("client") {
		p.note("https://%s/.well-known/matrix/client cannot be read today: leave it as it is, and plan again when it can", p.Domain)
	} else {
		p.Publish = append(p.Publish, p.file("client", client))
	}
	switch doc := p.document("server"); {
	case doc != nil && !p.serves(doc, server):
		p.wait(discover.WellKnownMax, "homeservers may keep the document that was there before")
	case doc != nil:
		p.note("if the document said something else before, homeservers may go by that for %s", textfmt.Duration(discover.WellKnownMax))
	}
	p.wait(retryAfter, "homeservers may go on without the document they did not find")
	ttl := time.Duration(0)
	for _, e := range p.srvRecords() {
		if e.State == records.Found {
			ttl = max(ttl, e.Lasts)
			p.Remove = append(p.Remove, e.What+": optional; without it, homeservers that cannot get the document go to "+p.Domain+":8448")
		}
	}
	p.wait(ttl, "resolvers keep the SRV records")
	for _, row := range p.After.Requirements {
		if row.Role == "federation" && row.Enforcement == discover.Should && row.State == records.Found {
			p.Drop = append(p.Drop, fmt.Sprintf("%s on %s: then only wanted by homeservers that cannot get the document; keep it if you can", p.Domain, row.Endpoint))
		}
	}
}

// severalTargets adds a note if SRV records name several endpoints: a document with
// a port names only one.
func (p *Plan) severalTargets() {
	var list []string
	for _, row := range p.federation() {
		if e := records.HostPort(row.Endpoint.Host, row.Endpoint.Port); (row.Step == "4" || row.Step == "5") && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	if len(list) > 1 {
		p.note("the SRV records name %d endpoints, %s: a document with a port names only one, so publish SRV records for that host and leave the port out if you need them all", len(list), strings.Join(list, ", "))
	}
}

// keep sets Keep, for any service.
func (p *Plan) keep(server records.ServerName) {
	for _, row := range p.After.Requirements {
		spare := row.Role == "federation" && row.Enforcement == discover.Should // it is in Drop
		if row.Endpoint.Host == "" || row.State != records.Found && row.State != records.Undetermined || row.Default || row.Enforcement == discover.Info || spare {
			continue
		}
		if !slices.Contains(row.Accept, p.Domain) && !slices.Contains(row.Accept, server.Host) {
			continue
		}
		text := fmt.Sprintf("%s on %s: %s, for %s", strings.Join(row.Accept, " or "), row.Endpoint, row.Role, row.CheckedBy)
		if row.When != "" {
			text += ", when " + row.When
		}
		if row.State == records.Undetermined {
			text += ", as far as is known: " + row.Why
		}
		if !slices.Contains(p.Keep, text) {
			p.Keep = append(p.Keep, text)
		}
	}
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// toSRV plans the move from a document to SRV records.
func (p *Plan) toSRV(server records.ServerName) {
	for _, service := range []string{"_matrix-fed._tcp", "_matrix._tcp"} {
		p.Records = append(p.Records, fmt.Sprintf("%s.%s. 3600 IN SRV 10 0 %d %s.", service, p.Domain, server.Port, server.Host))
	}
	p.Remove = []string{fmt.Sprintf("https://%s/.well-known/matrix/server: answer 404, on every address", p.Domain)}
	negative := time.Duration(0)
	for _, e := range p.srvRecords() {
		negative = max(negative, e.Lasts)
	}
	p.wait(negative, "resolvers keep what the SRV records were, or that there were none; let this pass before the document is removed")
	p.wait(discover.WellKnownMax, "homeservers may keep the document")
	p.wait(documentKnown, "Synapse remembers that there was one, and goes on asking for it")
	for _, c := range p.Changes {
		if c.Kind == gone && c.Row.Role == "federation" && !slices.Contains(c.Row.Accept, p.Domain) && !p.stillNeeds(c.Row) {
			p.Drop = append(p.Drop, fmt.Sprintf("%s on %s: no homeserver looks for it then", strings.Join(c.Row.Accept, ", "), c.Row.Endpoint))
		}
	}
	for _, row := range p.After.Requirements {
		if row.Role == "federation" && row.State == records.Found {
			p.Drop = append(p.Drop, fmt.Sprintf("names other than %s on %s, as far as homeservers go", p.Domain, row.Endpoint))
		}
	}
}

// stillNeeds reports whether peers need the names at the same endpoint after the
// move.
func (p *Plan) stillNeeds(gone discover.Requirement) bool {
	return slices.ContainsFunc(p.After.Requirements, func(r discover.Requirement) bool {
		return r.Endpoint == gone.Endpoint && slices.Equal(r.Accept, gone.Accept)
	})
}

// file returns a document with the headers it needs. During the move peers should
// not keep it for long.
func (p *Plan) file(kind string, content map[string]any) File {
	body, err := json.MarshalIndent(content, "", "  ")
	if err != nil { // it was read from JSON
		body = nil
	}
	return File{
		URL: "https://" + p.Domain + "/.well-known/matrix/" + kind,
		Headers: map[string]string{
			"Content-Type":                "application/json",
			"Access-Control-Allow-Origin": "*",
			"Cache-Control":               "max-age=3600",
		},
		Body: string(body) + "\n",
	}
}

func (p *Plan) wait(d time.Duration, text string) {
	if d > 0 {
		p.Waits = append(p.Waits, Wait{d, textfmt.Duration(d) + ": " + text})
	}
}

// srvRecords returns the domain's own SRV records of Matrix that were queried.
func (p *Plan) srvRecords() []records.Evidence {
	var list []records.Evidence
	for _, row := range p.Now.Requirements {
		for _, e := range row.Evidence {
			asked := e.SRV == "_matrix-fed._tcp."+p.Domain || e.SRV == "_matrix._tcp."+p.Domain
			if asked && !slices.Contains(list, e) {
				list = append(list, e)
			}
		}
	}
	return list
}

// serves reports whether a document names the server on every address that answers.
func (p *Plan) serves(d *web.Document, server records.ServerName) bool {
	good := d.Good()
	return !d.Split && len(good) == 1 && good[0].Value.(records.ServerName) == server
}

// findBlockers sets Blockers, and with them Safe and When.
func (p *Plan) findBlockers(goal Goal, server records.ServerName, now time.Time) {
	doc := p.document("server")
	if p.To == ToWellKnown && (doc == nil || !p.serves(doc, server)) {
		p.block("the document with m.server %s is not served by every address of %s", p.Server, p.Domain)
	}
	if p.To == ToSRV {
		if doc != nil {
			p.block("the document is still served")
		}
		p.needRecords(server)
	}
	for _, d := range p.Now.Documents {
		if d.Service == "matrix" {
			p.blockUnsettled(d)
		}
	}
	for _, problem := range p.Now.Problems {
		if (problem.Error || problem.Unsure) && problem.Service == "matrix" {
			p.block("%s", problem.Text)
		}
	}
	for _, row := range slices.Concat(matrixRows(p.Now), matrixRows(p.After)) {
		if row.Role != "client well-known" && (row.State == records.Undetermined || row.State == records.Absent && row.Role == "federation" && row.Enforcement == discover.Must && row.Endpoint.Host != "") {
			p.block("%s %s; %s", row.Role, row.Endpoint, row.Why)
		}
	}
	ends := now.Add(p.Wait())
	if !goal.Since.IsZero() {
		ends = goal.Since.Add(p.Wait())
		p.When = ends
	}
	if now.Before(ends) {
		p.block("peers may use cached answers for another %s", textfmt.Duration(ends.Sub(now)))
	}
	p.Safe = len(p.Blockers) == 0
}

// blockUnsettled blocks while it is not known what a document will say: only 404 and 410
// mean that there is none, and other failures may be temporary.
func (p *Plan) blockUnsettled(d web.Document) {
	if d.State == records.Undetermined {
		p.block("%s could not be determined: %s", d.URL, d.Why)
	}
	wellKnown := strings.HasPrefix(d.URL, "https://"+p.Domain+"/.well-known/")
	for _, v := range d.Fetches {
		if wellKnown && v.Fails() && v.State == records.Absent && v.Untrusted == "" {
			p.block("%s on %s fails, perhaps only for a time: %s; only 404 and 410 mean that there is no document", d.URL, v.Addr, v.Why)
		}
	}
}

// needRecords blocks while no SRV record leads to the server.
func (p *Plan) needRecords(server records.ServerName) {
	if !slices.ContainsFunc(p.federation(), func(r discover.Requirement) bool {
		return (r.Step == "4" || r.Step == "5") && r.Endpoint.Host == server.Host && r.Endpoint.Port == server.Port
	}) {
		p.block("no SRV record of %s leads to %s", p.Domain, p.Server)
	}
}

func (p *Plan) block(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.Blockers, text) {
		p.Blockers = append(p.Blockers, text)
	}
}
