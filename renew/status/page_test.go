package status

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"keypaird/renew"
	"keypaird/renew/unconfigured"
)

// parse reads a page as a browser does.
func parse(t testing.TB, page string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	must(t, err)
	return root
}

// all returns the elements of a name, "" for any.
func all(root *html.Node, name string) []*html.Node {
	var list []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			list = append(list, n)
		}
	}
	return list
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is what a person reads of n.
func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && c.Parent.Data != "style" {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// cards are the texts of targets, by name, and their names in order.
func cards(t testing.TB, root *html.Node) (texts map[string]string, order []string) {
	t.Helper()
	texts = map[string]string{}
	for _, n := range all(root, "h3") {
		card := n
		for card.Data != "article" && card.Data != "details" {
			card = card.Parent
		}
		texts[text(n)] = text(card)
		order = append(order, text(n))
	}
	return texts, order
}

// Of each target, the page says all there is to say: whether it is folded or
// not.
func TestPageSaysAll(t *testing.T) {
	doc := newDesk(t).document()
	for _, n := range []int{len(doc.Targets), maxExpanded} {
		doc := doc
		doc.Targets = doc.Targets[len(doc.Targets)-n:]
		root := parse(t, get(t, serving(doc), "/"))
		texts, order := cards(t, root)
		if len(order) != n {
			t.Errorf("%d cards for %d targets", len(order), n)
		}
		if folded := len(all(root, "details")) > 0; folded != (n > maxExpanded) {
			t.Errorf("of %d targets some are folded: %t", n, folded)
		}
		for _, target := range doc.Targets {
			for _, want := range said(target) {
				if want = strings.Join(strings.Fields(printable(want)), " "); !strings.Contains(strings.ToLower(texts[target.Name]), strings.ToLower(want)) {
					t.Errorf("%s: %q is not in\n%s", target.Name, want, texts[target.Name])
				}
			}
		}
	}
}

// said is what there is to say of a target.
func said(t Target) []string {
	list := []string{t.State}
	if t.ActionRequired != "" {
		list = append(list, t.ActionRequired)
	}
	for _, n := range t.Names {
		list = append(list, n.Name+" by "+n.Challenge)
	}
	for _, c := range []*Certificate{t.Live, t.Newest} {
		if c != nil {
			list = append(list, "issued by "+c.Issuer, c.Fingerprint[:16], c.Dir, local(c.NotAfter))
		}
	}
	if t.Live != nil {
		list = append(list, "overdue from "+local(t.OverdueAt))
	}
	if t.Due != nil && t.Newest == nil {
		list = append(list, "due "+local(*t.Due))
	}
	if r := t.Renewal; r != nil {
		list = append(list, local(r.Start)+" to "+local(r.End), "chosen: "+local(r.Chosen), r.Explanation, r.Error)
	}
	next := t.Next.Why
	if t.Next.Action == renew.None {
		next = "the next certificate is ordered at " + local(*t.Next.At)
	}
	list = append(list, next)
	for _, f := range t.failures() {
		list = append(list, "failed "+times(f.Failures), f.Error)
		for line := range strings.Lines(f.Remedy) {
			list = append(list, line)
		}
		if t.ownTime(f) {
			list = append(list, "Next attempt at "+local(f.Next))
		}
	}
	if t.Damage != nil {
		list = append(list, t.Damage.Error, "Remedy: "+t.Damage.Remedy)
	}
	for _, d := range t.Deployments {
		_, _, words := describeState(d.State)
		list = append(list, "Deployment "+d.Name, words)
		for _, e := range d.Endpoints {
			_, sign, words := describeState(e.State)
			list = append(list, e.Endpoint+" "+sign+" "+words)
		}
	}
	return list
}

// What needs a person is on top: first what serves nobody, then what ends first.
func TestPageOrder(t *testing.T) {
	doc := newDesk(t).document()
	slices.Reverse(doc.Targets)
	root := parse(t, get(t, serving(doc), "/"))
	_, order := cards(t, root)
	want := []string{
		"damaged", "expired", "hostile-issuer", "late", "hostile", "two-cas", "not-served", // action required
		"missing", "never-tried", "due", "killed-before-deploying", "renewed-not-deployed", "limit-reached", "table-changed", // in progress
		"*.served.example", "advised", "advised-too-late", "failure-that-is-history", "fine", "incident", "not-deployed-anywhere", "table-changed-back", // well
	}
	if !slices.Equal(order, want) {
		t.Errorf("order\n%q, want\n%q", order, want)
	}
	var titles []string
	for _, n := range all(root, "h2") {
		titles = append(titles, text(n))
	}
	if want := []string{"Action required (7)", "In progress (7)", "OK (8)"}; !slices.Equal(titles, want) {
		t.Errorf("titles %q, want %q", titles, want)
	}
	if got := text(all(root, "title")[0]); got != "action required for 7 of 22 certificates · keypaird on matrix" {
		t.Errorf("title %q", got)
	}
}

func TestSummary(t *testing.T) {
	missing := Target{State: Missing}
	well, busy, bad := Target{State: OK}, Target{State: Due}, Target{State: Expired, ActionRequired: "expired"}
	for _, tt := range []struct {
		targets []Target
		want    string
	}{
		{nil, "no certificate is configured"},
		{[]Target{well}, "1 certificate ok"},
		{[]Target{well, well}, "2 certificates ok"},
		{[]Target{well, well, well}, "3 certificates ok"},
		{[]Target{busy}, "no action required, keypaird works on the certificate"},
		{[]Target{well, busy}, "no action required, keypaird works on 1 of 2"},
		{[]Target{missing}, "no certificate yet, keypaird works on it"},
		{[]Target{well, missing, busy}, "no certificate yet for 1 of 3, keypaird works on 2"},
		{[]Target{bad}, "action required for the certificate"},
		{[]Target{well, bad, busy}, "action required for 1 of 3 certificates"},
		{[]Target{well, bad, bad}, "action required for 2 of 3 certificates"},
	} {
		if got := (Document{Targets: tt.targets}).Summary(); got != tt.want {
			t.Errorf("Summary = %q, want %q", got, tt.want)
		}
	}
}

// Who cannot see the page can read it, and who cannot tell colours apart can,
// too.
func TestPageAccessible(t *testing.T) {
	for _, page := range []string{get(t, serving(newDesk(t).document()), "/"), get(t, serving(Document{Time: now}), "/")} {
		root := parse(t, page)
		if lang := attr(all(root, "html")[0], "lang"); lang != "en" {
			t.Errorf("lang %q", lang)
		}
		ids, level, viewport, refresh := map[string]bool{}, 0, "", ""
		for _, n := range all(root, "") {
			if id := attr(n, "id"); id != "" && ids[id] {
				t.Errorf("two elements are called %s", id)
			} else {
				ids[id] = true
			}
			switch n.Data {
			case "h1", "h2", "h3":
				next := int(n.Data[1] - '0')
				if next > level+1 {
					t.Errorf("heading %q: %s after h%d", text(n), n.Data, level)
				}
				level = next
			case "svg":
				inner := n.Parent.Data == "svg"
				if named := attr(n, "role") == "img" && attr(n, "aria-label") != ""; !inner && !named && attr(n, "aria-hidden") != "true" {
					t.Error("a picture has no words")
				}
			case "table":
				if len(all(n, "caption")) != 1 || len(all(n, "th")) != len(all(n, "tr")) || len(all(n, "th")) == 0 {
					t.Errorf("table without caption or headers: %s", text(n))
				}
			case "th":
				if attr(n, "scope") != "row" {
					t.Error("a header of nothing")
				}
			case "meta":
				switch {
				case attr(n, "name") == "viewport":
					viewport = attr(n, "content")
				case attr(n, "http-equiv") == "refresh":
					refresh = attr(n, "content")
				}
			}
			if class := attr(n, "class"); (class == "good" || class == "busy" || class == "bad") && len(text(n)) < 3 {
				t.Errorf("%q is told by its colour", text(n))
			}
		}
		if len(all(root, "h1")) != 1 || viewport != "width=device-width, initial-scale=1" || refresh != "60" {
			t.Errorf("%d first headings, viewport %q, refresh %q", len(all(root, "h1")), viewport, refresh)
		}
		for _, n := range all(root, "section") {
			if !ids[attr(n, "aria-labelledby")] {
				t.Errorf("section without the heading %q", attr(n, "aria-labelledby"))
			}
		}
	}
}

// The policy allows for the style that is on the page, and for nothing else.
func TestPolicy(t *testing.T) {
	w := ask(serving(newDesk(t).document()), "GET", "/")
	styles := all(parse(t, w.Body.String()), "style")
	sum := sha256.Sum256([]byte(styles[0].FirstChild.Data))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := w.Header().Get("Content-Security-Policy"); len(styles) != 1 || got != want {
		t.Errorf("%d styles, policy\n%s, want\n%s", len(styles), got, want)
	}
}

// Files that the configuration moved are on the page and in the metrics.
func TestLeftFiles(t *testing.T) {
	doc := Document{Time: now, Targets: []Target{{
		Name: "mail", State: OK, Left: []unconfigured.LeftFile{{Path: "/etc/ssl/<old>.crt", Deployment: "files", NotAfter: now}},
	}}}
	page := text(parse(t, get(t, serving(doc), "/")))
	for _, want := range []string{"still there, not updated any more: /etc/ssl/<old>.crt, ends 20", "keypaird forget -files mail"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q on the page:\n%s", want, page)
		}
	}
	if got := get(t, serving(doc), "/metrics"); !strings.Contains(got, `keypaird_target_left_files{target="mail"} 1`) {
		t.Errorf("metrics:\n%s", got)
	}
}
