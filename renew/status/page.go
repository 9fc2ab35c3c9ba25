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
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// unfold is up to how many targets the page shows in full. Of more, those that
// are well are shown when a person unfolds them.
const unfold = 12

// A paper is what pages are written on.
type paper struct {
	form   *template.Template
	policy string // Content-Security-Policy of all we answer
	err    error
}

// newPaper reads the template. Nothing but our own style is allowed on a page:
// no script, no image, no form, no frame, nothing from elsewhere.
func newPaper() *paper {
	sum := sha256.Sum256([]byte(pageCSS))
	p := &paper{policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	p.form, p.err = template.New("page").Funcs(template.FuncMap{
		"clean": printable, "lines": lines, "when": when, "stamp": stamp, "times": times, "short": short, "percent": percent, "date": date, "link": link,
	}).Parse(pageHTML)
	return p
}

// A sheet is what a page shows.
type sheet struct {
	CSS     template.CSS
	Machine string
	Summary string
	Mood    string // class of the summary: bad, busy, good
	Time    time.Time
	Groups  []group
	Fault   *Damage // nothing could be collected
	Refused string  // what is wrong with the configuration on disk
}

// A group is targets of one severity.
type group struct {
	ID, Title string
	Cards     []card
}

// A card is one target on a page.
type card struct {
	Target
	Class   string // bad, busy or good
	Sign    string // the same, as a character
	Action  string // ActionRequired, unless what failed says just that
	Left    string // of the lifetime of what is live
	Then    string // what comes next
	Rolling string // which key comes next
	Fold    bool
	Bar     *bar
	Tries   []try
	Doors   []door
}

// A try is something that failed, on a page.
type try struct {
	What string
	Failure
	Later string // when it is tried again, if that is not what comes next
}

// A door is a deployment on a page.
type door struct {
	Deployment
	Class, Sign, Says string
	Rows              []row
}

// A row is an endpoint on a page.
type row struct{ Endpoint, Class, Sign, Says string }

func (p *paper) write(machine string, doc Document) ([]byte, error) {
	groups := []group{{ID: "action-required", Title: "Action required"}, {ID: "in-progress", Title: "In progress"}, {ID: "ok", Title: "OK"}}
	for _, t := range doc.Targets {
		c := newCard(t, doc.Time)
		g := &groups[slices.Index([]string{"bad", "busy", "good"}, c.Class)]
		c.Fold = c.Class == "good" && len(doc.Targets) > unfold
		g.Cards = append(g.Cards, c)
	}
	mood := "good"
	for _, g := range slices.Backward(groups) {
		if len(g.Cards) > 0 {
			mood = g.Cards[0].Class
		}
	}
	slices.SortStableFunc(groups[0].Cards, soonest)
	slices.SortStableFunc(groups[1].Cards, soonest)
	slices.SortStableFunc(groups[2].Cards, func(a, b card) int { return strings.Compare(a.Name, b.Name) })
	groups = slices.DeleteFunc(groups, func(g group) bool { return len(g.Cards) == 0 })
	s := sheet{Machine: machine, Summary: doc.Summary(), Mood: mood, Time: doc.Time, Groups: groups}
	if doc.Refused != nil {
		s.Refused = doc.Refused.says()
	}
	return p.print(s)
}

// writeFault writes the page of when nothing can be shown.
func (p *paper) writeFault(machine string, err error) ([]byte, error) {
	return p.print(sheet{
		Machine: machine, Summary: "the state cannot be read", Mood: "bad", Time: second(time.Now()),
		Fault: &Damage{err.Error(), renew.Remedy(err)},
	})
}

func (p *paper) print(s sheet) ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	s.CSS = template.CSS(pageCSS)
	var b bytes.Buffer
	err := p.form.Execute(&b, s)
	return b.Bytes(), err
}

// soonest orders by when the service ends; what has ended, or was never there,
// comes first.
func soonest(a, b card) int {
	end := func(c card) time.Time {
		if c.Live == nil {
			return time.Time{}
		}
		return c.Live.NotAfter
	}
	return cmp.Or(end(a).Compare(end(b)), strings.Compare(a.Name, b.Name))
}

func newCard(t Target, now time.Time) card {
	c := card{Target: t, Class: "busy", Sign: "…", Then: t.then(now), Bar: newBar(t, now)}
	if t.ActionRequired != t.failing() {
		c.Action = t.ActionRequired
	}
	switch {
	case t.ActionRequired != "":
		c.Class, c.Sign = "bad", "✕"
	case t.State == OK:
		c.Class, c.Sign = "good", "✓"
	}
	if t.Live != nil {
		c.Left = left(t.Live.NotAfter, now)
	}
	if t.TLSA != nil {
		c.Rolling = t.TLSA.says(now)
	}
	for _, f := range t.Orders {
		c.Tries = append(c.Tries, newTry(t, "Ordering at "+f.CA, f))
	}
	c.Tries = append(c.Tries, t.taking()...)
	for _, d := range t.Deployments {
		c.Doors = append(c.Doors, newDoor(d))
		if d.Failure != nil {
			c.Tries = append(c.Tries, newTry(t, "Deploying to "+d.Name, *d.Failure))
		}
	}
	return c
}

func newTry(t Target, what string, f Failure) try {
	out := try{What: what, Failure: f}
	if t.ownTime(f) {
		out.Later = when(f.Next)
	}
	return out
}

func newDoor(d Deployment) door {
	out := door{Deployment: d}
	out.Class, out.Sign, out.Says = says(d.State)
	if d.Failure != nil {
		out.Class, out.Sign, out.Says = "bad", "✕", out.Says+", failed "+times(d.Failure.Failures)
	}
	for _, e := range d.Endpoints {
		r := row{Endpoint: e.Endpoint}
		r.Class, r.Sign, r.Says = says(e.State)
		out.Rows = append(out.Rows, r)
	}
	return out
}

// says puts the state of a deployment or of an endpoint in words.
func says(state string) (class, sign, words string) {
	switch state {
	case Verified:
		return "good", "✓", "verified: seen served"
	case Deployed:
		return "good", "✓", "deployed, no endpoint to look at"
	case Unverified:
		return "busy", "…", "deployed, not seen served yet"
	case Refuted:
		return "bad", "✕", "does not serve it"
	}
	return "busy", "…", "not deployed yet"
}

// then says what comes next, and when.
func (t Target) then(now time.Time) string {
	at := "a time that is not known"
	if t.Next.At != nil {
		at = when(*t.Next.At) + ", " + ahead(*t.Next.At, now)
	}
	switch t.Next.Action {
	case renew.Issue:
		return "a certificate is ordered in the next pass, because: " + t.Next.Why
	case renew.Take:
		return "its files are taken in the next pass, because: " + t.Next.Why
	case renew.Deploy:
		return "the newest certificate is deployed in the next pass, because: " + t.Next.Why
	case renew.Wait:
		if len(t.failures()) == 0 {
			return "waits until " + at + ", because: " + t.Next.Why
		}
		return "tried again at " + at + ", because: " + t.Next.Why
	case renew.None:
		return t.unless("the next certificate is ordered at "+at, when)
	}
	return "not known while its files cannot be used"
}

// percent is a place in a bar.
func percent(p float64) string { return fmt.Sprintf("%.2f%%", p) }

// short is enough of a fingerprint to tell certificates apart.
func short(fingerprint string) string { return fingerprint[:min(16, len(fingerprint))] }

// lines are those of a text of others.
func lines(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		list = append(list, printable(line))
	}
	return list
}

// link is an address that a CA gave, if it is one of a page, else "".
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return address
}
