package web

import (
	"bytes"
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

// A Document is a well-known document, as each address of its host serves it.
type Document struct {
	Service string        `json:"service"`
	URL     string        `json:"url"`
	State   records.State `json:"state"` // Found: at least one address serves a valid document; Absent: none does
	Why     string        `json:"why,omitempty"`
	Split   bool          `json:"split,omitempty"` // the addresses serve different documents
	Fetches []Fetch       `json:"fetches,omitempty"`

	Site records.Site `json:"-"`
}

// A Fetch is the result from one address.
type Fetch struct {
	Addr      netip.Addr
	State     records.State // Found: a valid document; Absent: peers cannot use it; Undetermined: others may get another result
	Says      string        // summary of the content
	Why       string        // the state is not Found
	Status    int           // zero: no answer
	Redirects []string      // their URLs
	Untrusted string        // why its certificate is not trusted
	Lasts     time.Duration

	Response
	Value any // the parsed content
}

// MarshalJSON leaves out what the Parser did not read.
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

// A Parser parses a document; says is a summary in one line. An error means that
// peers cannot use the document.
type Parser func(p Response) (says string, value any, err error)

// StatusError returns the error for a response that is not the document.
func StatusError(code int) error { return fmt.Errorf("answers %d", code) }

// IfOK returns a Parser that accepts only status 200.
func IfOK(parse func(body []byte) (says string, value any, err error)) Parser {
	return func(p Response) (string, any, error) {
		if p.Code != http.StatusOK {
			return "", nil, StatusError(p.Code)
		}
		return parse(p.Body)
	}
}

// Document fetches a document from every address of its host.
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

// DocumentAt fetches a document from each of the addresses. There must be at least
// one.
func (f *Fetcher) DocumentAt(ctx context.Context, addrs []netip.Addr, e FetchRequest, read Parser) Document {
	d := Document{URL: e.URL.String(), Fetches: make([]Fetch, len(addrs))}
	var wg sync.WaitGroup
	for i, addr := range addrs {
		one := e
		one.addr = addr
		wg.Go(func() { d.Fetches[i] = resultOf(addr, f.fetch(ctx, one), read) })
	}
	wg.Wait()
	d.summarize()
	return d
}

// resultOf returns what peers do with a response.
func resultOf(addr netip.Addr, p Response, read Parser) Fetch {
	v := Fetch{Addr: addr, Response: p, Status: p.Code, Untrusted: Clean(p.untrusted), State: records.Absent}
	for _, h := range p.Hops()[1:] {
		v.Redirects = append(v.Redirects, Clean(h.URL.String()))
	}
	where := ""
	if n := len(p.Via); n > 0 && p.URL.Hostname() != p.Via[0].URL.Hostname() {
		where = p.URL.Hostname() + ": "
	}
	if p.err != nil {
		if v.Why = Clean(where + p.err.Error()); p.unclear {
			v.State = records.Undetermined
		}
		return v
	}
	says, value, err := read(p)
	switch {
	case err != nil:
		v.Why = Clean(where + err.Error())
	case p.untrusted != "":
		v.Why = where + "its certificate is not trusted: " + v.Untrusted
		v.Says, v.Value = Clean(says), value // not available to peers
	default:
		v.State, v.Says, v.Value = records.Found, Clean(says), value
	}
	return v
}

// summarize sets the state of the document from those of its fetches.
func (d *Document) summarize() {
	d.State = records.Undetermined
	var known []Fetch
	for _, v := range d.Fetches {
		switch {
		case v.State == records.Found:
			d.State = records.Found
		case v.State == records.Absent && d.State == records.Undetermined:
			d.State = records.Absent
		}
		if v.State != records.Undetermined {
			known = append(known, v)
		}
	}
	for _, v := range known {
		if v.State != known[0].State || v.State == records.Found && v.Says != known[0].Says {
			d.Split = true
		}
	}
	if d.State != records.Found {
		i := slices.IndexFunc(d.Fetches, func(v Fetch) bool { return v.State == d.State })
		d.Why = d.Fetches[i].Why
	}
}

// Deny makes a document absent that was found.
func (d *Document) Deny(why string) {
	for i := range d.Fetches {
		if v := &d.Fetches[i]; v.State == records.Found {
			v.State, v.Why, v.Says, v.Value = records.Absent, why, "", nil
		}
	}
	d.Split = false
	d.summarize()
}

// Good returns the fetches that found the document, one for each different content.
func (d *Document) Good() []Fetch {
	var list []Fetch
	for _, v := range d.Fetches {
		if v.State == records.Found && !slices.ContainsFunc(list, func(o Fetch) bool { return o.Says == v.Says }) {
			list = append(list, v)
		}
	}
	return list
}

// Untrusted returns a fetch that failed only because of the certificate, or nil.
func (d *Document) Untrusted() *Fetch {
	i := slices.IndexFunc(d.Fetches, func(v Fetch) bool { return v.State == records.Absent && v.Untrusted != "" && v.Value != nil })
	if i < 0 {
		return nil
	}
	return &d.Fetches[i]
}

// Fails reports whether there is no document, perhaps only for a time: nothing but 404,
// 410 and a page that is served to any path means that there will be none.
func (v Fetch) Fails() bool {
	switch {
	case v.State == records.Found, v.Status == http.StatusNotFound, v.Status == http.StatusGone:
		return false
	}
	return !v.IsPage()
}

// IsPage reports whether a response is a page instead of a JSON document, as of a site
// that answers so to any path.
func (v Fetch) IsPage() bool {
	return v.State == records.Absent && v.Status == http.StatusOK && bytes.HasPrefix(bytes.TrimLeft(v.Body, "\ufeff \t\r\n"), []byte("<"))
}

// Holder returns the address that was asked, or the host that it redirects to.
func (v *Fetch) Holder() string {
	if n := len(v.Via); n > 0 && v.URL.Hostname() != v.Via[0].URL.Hostname() {
		return v.URL.Hostname()
	}
	return v.Addr.String()
}

// Undetermined lists the addresses that could not be checked.
func (d *Document) Undetermined() []string {
	var list []string
	for _, v := range d.Fetches {
		if v.State == records.Undetermined {
			list = append(list, v.Addr.String()+": "+v.Why)
		}
	}
	return list
}

// Evidence returns the request and its result as evidence.
func (d *Document) Evidence(spec string) records.Evidence {
	e := records.Evidence{What: d.URL, State: d.State, Says: d.Why, Spec: spec}
	for i, v := range d.Good() {
		if e.From, e.Says = v.Addr.String(), v.Says; i > 0 {
			e.From, e.Says = "", "its addresses serve different documents"
		}
	}
	for _, v := range d.Fetches {
		e.Lasts = max(e.Lasts, v.Lasts)
	}
	return e
}

// Summary lists the result of every address, for a message.
func (d *Document) Summary() string {
	var list []string
	for _, v := range d.Fetches {
		list = append(list, v.Addr.String()+": "+cmp.Or(v.Why, v.Says))
	}
	return strings.Join(list, "; ")
}

// Freshness returns how long headers allow a document to be cached (RFC 9111,
// section 4.2.1); known is false if they do not say.
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
		return 0, h.Get("Expires") != "" // "0" and invalid dates mean already stale (RFC 9111, 5.3)
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}

// Clean returns another machine's text as one short, printable line.
func Clean(s string) string { return textfmt.OneLine(s, 500) }
