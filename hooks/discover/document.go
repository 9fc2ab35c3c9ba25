package discover

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Document is a well-known one, as each address of its host serves it.
type Document struct {
	Service string  `json:"service"`
	URL     string  `json:"url"`
	State   State   `json:"state"` // Found: some address serves a valid one; Absent: none does
	Why     string  `json:"why,omitempty"`
	Split   bool    `json:"split,omitempty"` // the addresses do not agree
	Visits  []Visit `json:"visits,omitempty"`

	site site
}

// A Visit is what one address served.
type Visit struct {
	Addr      netip.Addr
	State     State    // Found: a valid document; Absent: peers cannot use it; Undetermined: others may see another
	Says      string   // what it says, in short
	Why       string   // the state is not Found
	Status    int      // zero: no answer
	Redirects []string // where they led
	Untrusted string   // why its certificate is not trusted
	Lasts     time.Duration

	page
	value any // what it says
}

// MarshalJSON leaves out what was not parsed.
func (v Visit) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Addr      netip.Addr `json:"address"`
		State     State      `json:"state"`
		Says      string     `json:"says,omitempty"`
		Why       string     `json:"why,omitempty"`
		Status    int        `json:"status,omitempty"`
		Redirects []string   `json:"redirects,omitempty"`
		Untrusted string     `json:"untrusted,omitempty"`
		Lasts     int64      `json:"lasts_seconds"`
	}{v.Addr, v.State, v.Says, v.Why, v.Status, v.Redirects, v.Untrusted, int64(v.Lasts / time.Second)})
}

// A reader reads a document: says is it in one line, value as it is needed.
// An error means that peers cannot use it.
type reader func(p page) (says string, value any, err error)

// errStatus is a document with another status than 200.
type errStatus int

func (e errStatus) Error() string { return "answers " + strconv.Itoa(int(e)) }

// document gets a document from every address of its host.
func (f *Fetcher) document(ctx context.Context, host, path string, follow bool, most int64, read reader) Document {
	from := &url.URL{Scheme: "https", Host: hostPort(host, 443), Path: path}
	at := f.resolver.addresses(ctx, host)
	if at.state != Found {
		return Document{URL: from.String(), State: at.state, Why: at.why, site: at}
	}
	d := f.documentAt(ctx, at.addrs, errand{url: from, follow: follow, most: most}, read)
	d.site = at
	return d
}

// documentAt gets a document from each of the addresses, of which there is one
// at least.
func (f *Fetcher) documentAt(ctx context.Context, addrs []netip.Addr, e errand, read reader) Document {
	d := Document{URL: e.url.String(), Visits: make([]Visit, len(addrs))}
	var wg sync.WaitGroup
	for i, addr := range addrs {
		one := e
		one.addr = addr
		wg.Go(func() { d.Visits[i] = judged(addr, f.visit(ctx, one), read) })
	}
	wg.Wait()
	d.conclude()
	return d
}

// judged says what peers make of a page.
func judged(addr netip.Addr, p page, read reader) Visit {
	v := Visit{Addr: addr, page: p, Status: p.status, Untrusted: clean(p.untrusted), State: Absent}
	for _, h := range p.hops()[1:] {
		v.Redirects = append(v.Redirects, clean(h.url.String()))
	}
	if p.err != nil {
		if v.Why = clean(p.err.Error()); p.unclear {
			v.State = Undetermined
		}
		return v
	}
	says, value, err := read(p)
	switch {
	case err != nil:
		v.Why = clean(err.Error())
	case p.untrusted != "":
		v.Why = "its certificate is not trusted: " + v.Untrusted
		v.Says, v.value = clean(says), value // what peers miss
	default:
		v.State, v.Says, v.value = Found, clean(says), value
	}
	return v
}

// conclude says what the visits amount to.
func (d *Document) conclude() {
	d.State = Undetermined
	var judged []Visit
	for _, v := range d.Visits {
		switch {
		case v.State == Found:
			d.State = Found
		case v.State == Absent && d.State == Undetermined:
			d.State = Absent
		}
		if v.State != Undetermined {
			judged = append(judged, v)
		}
	}
	for _, v := range judged {
		if v.State != judged[0].State || v.State == Found && v.Says != judged[0].Says {
			d.Split = true
		}
	}
	if d.State != Found {
		i := slices.IndexFunc(d.Visits, func(v Visit) bool { return v.State == d.State })
		d.Why = d.Visits[i].Why
	}
}

// good are the visits that found it, one for each thing it says.
func (d *Document) good() []Visit {
	var list []Visit
	for _, v := range d.Visits {
		if v.State == Found && !slices.ContainsFunc(list, func(o Visit) bool { return o.Says == v.Says }) {
			list = append(list, v)
		}
	}
	return list
}

// hidden is a visit that would have found it but for the certificate, or nil.
func (d *Document) hidden() *Visit {
	i := slices.IndexFunc(d.Visits, func(v Visit) bool { return v.State == Absent && v.Untrusted != "" && v.value != nil })
	if i < 0 {
		return nil
	}
	return &d.Visits[i]
}

// unjudged are the addresses that could not be looked at.
func (d *Document) unjudged() []string {
	var list []string
	for _, v := range d.Visits {
		if v.State == Undetermined {
			list = append(list, v.Addr.String()+": "+v.Why)
		}
	}
	return list
}

// evidence is what was asked and what came back.
func (d *Document) evidence(spec string) Evidence {
	e := Evidence{What: d.URL, State: d.State, Says: d.Why, Spec: spec}
	for i, v := range d.good() {
		if e.From, e.Says = v.Addr.String(), v.Says; i > 0 {
			e.From, e.Says = "", "its addresses do not agree"
		}
	}
	for _, v := range d.Visits {
		e.Lasts = max(e.Lasts, v.Lasts)
	}
	return e
}

// each lists what every address says, for a message.
func (d *Document) each() string {
	var list []string
	for _, v := range d.Visits {
		list = append(list, v.Addr.String()+": "+cmp.Or(v.Why, v.Says))
	}
	return strings.Join(list, "; ")
}

// freshness is for how long headers let a document be kept (RFC 9111, section
// 4.2.1); known is false if they do not say.
func freshness(h http.Header, now time.Time) (d time.Duration, known bool) {
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
