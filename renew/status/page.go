package status

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/notify"
	"keypaird/renew/status/nodes"
	"keypaird/renew/textfmt"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// maxExpanded is the largest number of targets that the page shows in full. With
// more targets, those that are ok are collapsed.
const maxExpanded = 12

// A pageTemplate renders the page.
type pageTemplate struct {
	form *template.Template
	err  error
}

// policy returns the Content-Security-Policy of every response. It allows the page's own
// style and nothing else: no script, image, form, frame or foreign resource.
func policy() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// newPageTemplate parses the template.
func newPageTemplate() *pageTemplate {
	p := new(pageTemplate)
	p.form, p.err = template.New("page").Funcs(template.FuncMap{
		"clean": printable, "lines": lines, "when": local, "stamp": stamp, "times": times, "short": short, "percent": percent, "date": date, "link": link,
		"whereLeft": WhereLeft, "leftRemedy": LeftRemedy, "revokedRemedy": notify.RevokedRemedy,
	}).Parse(pageHTML)
	return p
}

// pageData is the input of the template.
type pageData struct {
	CSS          template.CSS
	Machine      string
	Version      string // of the program; may be ""
	Summary      string
	Severity     string // class of the summary: bad, busy, good
	Time         time.Time
	Groups       []group
	Unconfigured []Unconfigured
	Fault        *Damage      // the state could not be read; nil otherwise
	Refused      string       // why the daemon rejected the configuration on disk
	Fleet        *nodes.Fleet // nil: there is none
}

// A group contains the targets of one severity.
type group struct {
	ID, Title string
	Targets   []targetView
}

// A targetView is one target on the page.
type targetView struct {
	Target
	Class           string // bad, busy or good
	Symbol          string // the severity as a character
	Action          string // ActionRequired; empty if an attempt below says the same
	Remaining       string // lifetime of the live certificate
	Then            string // next action and its time
	Rollover        string // key of the next certificate
	Collapsed       bool
	Bar             *bar
	Attempts        []attempt
	DeploymentViews []deploymentView
}

// An attempt is a failed attempt on the page.
type attempt struct {
	What string
	Failure
	RetryAt string // next attempt; empty if that is the target's next action
}

// A deploymentView is a deployment on the page.
type deploymentView struct {
	Deployment
	Class, Symbol, Text string
	EndpointViews       []endpointView
}

// An endpointView is an endpoint on the page.
type endpointView struct{ Endpoint, Class, Symbol, Text, Error string }

// HasBars reports whether a lifetime is drawn, which the legend explains.
func (s pageData) HasBars() bool {
	return slices.ContainsFunc(s.Groups, func(g group) bool {
		return slices.ContainsFunc(g.Targets, func(t targetView) bool { return t.Bar != nil })
	})
}

func (p *pageTemplate) write(machine, version string, doc Document) ([]byte, error) {
	groups := []group{{ID: "action-required", Title: "Action required"}, {ID: "in-progress", Title: "In progress"}, {ID: "ok", Title: "OK"}}
	for _, t := range doc.Targets {
		c := newTargetView(t, doc.Time)
		g := &groups[slices.Index([]string{"bad", "busy", "good"}, c.Class)]
		c.Collapsed = c.Class == "good" && len(doc.Targets) > maxExpanded
		g.Targets = append(g.Targets, c)
	}
	severity := "good"
	for _, g := range slices.Backward(groups) {
		if len(g.Targets) > 0 {
			severity = g.Targets[0].Class
		}
	}
	slices.SortStableFunc(groups[0].Targets, byExpiry)
	slices.SortStableFunc(groups[1].Targets, byExpiry)
	slices.SortStableFunc(groups[2].Targets, func(a, b targetView) int { return strings.Compare(a.Name, b.Name) })
	groups = slices.DeleteFunc(groups, func(g group) bool { return len(g.Targets) == 0 })
	if slices.ContainsFunc(doc.Unconfigured, func(u Unconfigured) bool { return u.ActionRequired != "" }) {
		severity = "bad"
	}
	s := pageData{Machine: machine, Version: version, Summary: doc.Summary(), Severity: severity, Time: doc.Time, Groups: groups, Unconfigured: doc.Unconfigured, Fleet: doc.Fleet}
	if doc.Refused != nil {
		s.Refused = doc.Refused.describe()
	}
	return p.print(s)
}

// writeFault renders the page for a state that cannot be read.
func (p *pageTemplate) writeFault(machine string, err error) ([]byte, error) {
	return p.print(pageData{
		Machine: machine, Summary: "the state cannot be read", Severity: "bad", Time: second(time.Now()),
		Fault: &Damage{err.Error(), renew.Remedy(err)},
	})
}

func (p *pageTemplate) print(s pageData) ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	s.CSS = template.CSS(pageCSS)
	var b bytes.Buffer
	err := p.form.Execute(&b, s)
	return []byte(textfmt.Printable(b.String())), err
}

// byExpiry orders targets by the end of their live certificates. Targets
// without one come first.
func byExpiry(a, b targetView) int {
	end := func(c targetView) time.Time {
		if c.Live == nil {
			return time.Time{}
		}
		return c.Live.NotAfter
	}
	return cmp.Or(end(a).Compare(end(b)), strings.Compare(a.Name, b.Name))
}

func newTargetView(t Target, now time.Time) targetView {
	c := targetView{Target: t, Class: "busy", Symbol: "…", Then: t.then(now), Bar: newBar(t, now)}
	if t.ActionRequired != t.failing() {
		c.Action = t.ActionRequired
	}
	switch {
	case t.ActionRequired != "":
		c.Class, c.Symbol = "bad", "✕"
	case t.State == OK:
		c.Class, c.Symbol = "good", "✓"
	}
	if t.Live != nil {
		c.Remaining = left(t.Live.NotAfter, now)
	}
	if t.TLSA != nil {
		c.Rollover = t.TLSA.describe(now)
	}
	for _, f := range t.Orders {
		c.Attempts = append(c.Attempts, newAttempt(t, backoff.Step{Kind: backoff.Obtain, Name: f.CA}, f))
	}
	c.Attempts = append(c.Attempts, t.importAttempts()...)
	for _, d := range t.Deployments {
		c.DeploymentViews = append(c.DeploymentViews, newDeploymentView(d))
		if d.Failure != nil {
			c.Attempts = append(c.Attempts, newAttempt(t, backoff.Step{Kind: backoff.Deploy, Name: d.Name}, *d.Failure))
		}
	}
	return c
}

func newAttempt(t Target, step backoff.Step, f Failure) attempt {
	what := step.String()
	out := attempt{What: strings.ToUpper(what[:1]) + what[1:], Failure: f}
	if t.ownTime(f) {
		out.RetryAt = local(f.Next)
	}
	return out
}

func newDeploymentView(d Deployment) deploymentView {
	out := deploymentView{Deployment: d}
	out.Class, out.Symbol, out.Text = describeState(d.State)
	if d.Failure != nil {
		out.Class, out.Symbol, out.Text = "bad", "✕", out.Text+", failed "+times(d.Failure.Failures)
	}
	for _, e := range d.Endpoints {
		r := endpointView{Endpoint: e.Endpoint, Error: e.Error}
		r.Class, r.Symbol, r.Text = describeState(e.State)
		r.Text += e.times()
		out.EndpointViews = append(out.EndpointViews, r)
	}
	return out
}

// importAttempts returns the failed import of an external certificate's files.
func (t Target) importAttempts() []attempt {
	if t.External == nil || t.External.Failure == nil {
		return nil
	}
	return []attempt{newAttempt(t, backoff.Step{Kind: backoff.Import}, *t.External.Failure)}
}

// describeState describes the state of a deployment or of an endpoint.
func describeState(state string) (class, symbol, words string) {
	switch state {
	case Verified:
		return "good", "✓", "verified: the certificate is served"
	case Deployed:
		return "good", "✓", "deployed, not verified: no endpoint is configured"
	case Unverified:
		return "busy", "…", "deployed, not verified yet"
	case NotServed:
		return "bad", "✕", "does not serve the certificate"
	case Absent:
		return "busy", "…", "serves none of the names, as before the deployment"
	case Unasked:
		return "good", "✓", "none of the names is requested here"
	}
	return "busy", "…", "not deployed yet"
}

// then describes the next action and its time.
func (t Target) then(now time.Time) string {
	at := "an unknown time"
	if t.Next.At != nil {
		at = local(*t.Next.At) + ", " + ahead(*t.Next.At, now)
	}
	switch t.Next.Action {
	case renew.Issue:
		return t.orImport("a certificate is ordered in the next pass, because: ", "its files are imported in the next pass, because: ") + t.Next.Why
	case renew.Deploy:
		return "the newest certificate is deployed in the next pass, because: " + t.Next.Why
	case renew.Wait:
		if len(t.failures()) == 0 {
			return "waits until " + at + ", because: " + t.Next.Why
		}
		return "tried again at " + at + ", because: " + t.Next.Why
	case renew.None:
		return t.orExternal("the next certificate is ordered at "+at, when)
	}
	return "unknown while its files cannot be used"
}

// percent formats a position in the lifetime bar.
func percent(p float64) string { return fmt.Sprintf("%.2f%%", p) }

// short abbreviates a fingerprint.
func short(fingerprint string) string { return fingerprint[:min(16, len(fingerprint))] }

// lines splits untrusted text into printable lines.
func lines(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		list = append(list, printable(line))
	}
	return list
}

// link returns an address received from a CA if it is an HTTP URL, else "".
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return address
}
