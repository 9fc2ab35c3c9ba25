package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"keypaird/hooks/discover/records"
	"keypaird/renew/textfmt"
)

// A Document is a well-known one, as each address of its host serves it.
type Document struct {
	Service string        `json:"service"`
	URL     string        `json:"url"`
	State   records.State `json:"state"` // Found: some address serves a valid one; Absent: none does
	Why     string        `json:"why,omitempty"`
	Split   bool          `json:"split,omitempty"` // the addresses do not agree
	Visits  []Fetch       `json:"visits,omitempty"`

	Site records.Site `json:"-"`
}

// A Fetch is what one address served.
type Fetch struct {
	Addr      netip.Addr
	State     records.State // Found: a valid document; Absent: peers cannot use it; Undetermined: others may see another
	Says      string        // what it says, in short
	Why       string        // the state is not Found
	Status    int           // zero: no answer
	Redirects []string      // where they led
	Untrusted string        // why its certificate is not trusted
	Lasts     time.Duration

	Response
	Value any // what it says
}

// MarshalJSON leaves out what was not parsed.
func (v Fetch) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Addr      netip.Addr    `json:"address"`
		State     records.State `json:"state"`
		Says      string        `json:"says,omitempty"`
		Why       string        `json:"why,omitempty"`
		Status    int           `json:"status,omitempty"`
		Redirects []string      `json:"redirects,omitempty"`
		Untrusted string        `json:"untrusted,omitempty"`
		Lasts     int64         `json:"lasts_seconds"`
	}{v.Addr, v.State, v.Says, v.Why, v.Status, v.Redirects, v.Untrusted, int64(v.Lasts / time.Second)})
}

// A Parser reads a document: says is it in one line, value as it is needed.
// An error means that peers cannot use it.
type Parser func(p Response) (says string, value any, err error)

// StatusError returns the error for a status that the document does not have.
func StatusError(code int) error { return fmt.Errorf("answers %d", code) }

// IfOK returns a Parser of documents that have status 200.
func IfOK(parse func(body []byte) (says string, value any, err error)) Parser {
	return func(p Response) (string, any, error) {
		if p.Code != http.StatusOK {
			return "", nil, StatusError(p.Code)
		}
		return parse(p.Body)
	}
}

// Document gets a document from every address of its host.
func (f *Fetcher) Document(ctx context.Context, host, path string, follow bool, most int64, read Parser) Document {
	from := &url.URL{Scheme: "https", Host: records.HostPort(host, 443), Path: path}
	at := f.resolver.Addresses(ctx, host)
	if at.State != records.Found {
		return Document{URL: from.String(), State: at.State, Why: at.Why, Site: at}
	}
	d := f.DocumentAt(ctx, at.Addrs, FetchRequest{URL: from, follow: follow, MaxBytes: most}, read)
	d.Site = at
	return d
}

// DocumentAt gets a document from each of the addresses, of which there is one
// at least.
func (f *Fetcher) DocumentAt(ctx context.Context, addrs []netip.Addr, e FetchRequest, read Parser) Document {
	d := Document{URL: e.URL.String(), Visits: make([]Fetch, len(addrs))}
	var wg sync.WaitGroup
	for i, addr := range addrs {
		one := e
		one.addr = addr
		wg.Go(func() { d.Visits[i] = resultOf(addr, f.fetch(ctx, one), read) })
	}
	wg.Wait()
	d.summarize()
	return d
}

// resultOf says what peers make of a page.
func resultOf(addr netip.Addr, p Response, read Parser) Fetch {
	v := Fetch{Addr: addr, Response: p, Status: p.Code, Untrusted: Clean(p.untrusted), State: records.Absent}
	for _, h := range p.Hops()[1:] {
		v.Redirects = append(v.Redirects, Clean(h.URL.String()))
	}
	if p.err != nil {
		if v.Why = Clean(p.err.Error()); p.unclear {
			v.State = records.Undetermined
		}
		return v
	}
	says, value, err := read(p)
	switch {
	case err != nil:
		v.Why = Clean(err.Error())
	case p.untrusted != "":
		v.Why = "its certificate is not trusted: " + v.Untrusted
		v.Says, v.Value = Clean(says), value // what peers miss
	default:
		v.State, v.Says, v.Value = records.Found, Clean(says), value
	}
	return v
}

// summarize says what the visits amount to.
func (d *Document) summarize() {
	d.State = records.Undetermined
	var judged []Fetch
	for _, v := range d.Visits {
		switch {
		case v.State == records.Found:
			d.State = records.Found
		case v.State == records.Absent && d.State == records.Undetermined:
			d.State = records.Absent
		}
		if v.State != records.Undetermined {
			judged = append(judged, v)
		}
	}
	for _, v := range judged {
		if v.State != judged[0].State || v.State == records.Found && v.Says != judged[0].Says {
			d.Split = true
		}
	}
	if d.State != records.Found {
		i := slices.IndexFunc(d.Visits, func(v Fetch) bool { return v.State == d.State })
		d.Why = d.Visits[i].Why
	}
}

// Good are the visits that found it, one for each thing it says.
func (d *Document) Good() []Fetch {
	var list []Fetch
	for _, v := range d.Visits {
		if v.State == records.Found && !slices.ContainsFunc(list, func(o Fetch) bool { return o.Says == v.Says }) {
			list = append(list, v)
		}
	}
	return list
}

// Untrusted is a visit that would have found it but for the certificate, or nil.
func (d *Document) Untrusted() *Fetch {
	i := slices.IndexFunc(d.Visits, func(v Fetch) bool { return v.State == records.Absent && v.Untrusted != "" && v.Value != nil })
	if i < 0 {
		return nil
	}
	return &d.Visits[i]
}

// Undetermined are the addresses that could not be looked at.
func (d *Document) Undetermined() []string {
	var list []string
	for _, v := range d.Visits {
		if v.State == records.Undetermined {
			list = append(list, v.Addr.String()+": "+v.Why)
		}
	}
	return list
}

// Evidence is what was asked and what came back.
func (d *Document) Evidence(spec string) records.Evidence {
	e := records.Evidence{What: d.URL, State: d.State, Says: d.Why, Spec: spec}
	for i, v := range d.Good() {
		if e.From, e.Says = v.Addr.String(), v.Says; i > 0 {
			e.From, e.Says = "", "its addresses do not agree"
		}
	}
	for _, v := range d.Visits {
		e.Lasts = max(e.Lasts, v.Lasts)
	}
	return e
}

// Summary lists what every address says, for a message.
func (d *Document) Summary() string {
	var list []string
	for _, v := range d.Visits {
		list = append(list, v.Addr.String()+": "+cmp.Or(v.Why, v.Says))
	}
	return strings.Join(list, "; ")
}

// Freshness is for how long headers let a document be kept (RFC 9111, section
// 4.2.1); known is false if they do not say.
func Freshness(h http.Header, now time.Time) (d time.Duration, known bool) {
	for part := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(name) {
		case "no-store":
			return 0, true
		case "max-age":
			n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
			if errors.Is(err, strconv.ErrRange) && n > 0 || n > int64(100*365*24*time.Hour/time.Second) {
				n, err = int64(100*365*24*time.Hour/time.Second), nil
			}
			if err == nil && !known {
				d, known = max(0, time.Duration(n)*time.Second), true
			}
		}
	}
	if known {
		return d, true
	}
	at, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0, h.Get("Expires") != "" // "0" and nonsense mean already stale (RFC 9111, 5.3)
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}

// Clean returns another machine's text as one short, printable line.
func Clean(s string) string { return textfmt.OneLine(s, 500) }
