package status

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What others say is text, and nothing else: no element, attribute or address is
// on the page that the template did not put there.
func TestPageHostile(t *testing.T) {
	doc := newDesk(t).document()
	page := get(t, serving(doc), "/")
	if strings.ContainsAny(page, "\x00\x1b\a\u202e") {
		t.Error("control characters are passed on")
	}
	elements := []string{"html", "head", "meta", "title", "style", "body", "header", "h1", "p", "time", "main", "section", "h2", "article",
		"div", "h3", "span", "strong", "code", "b", "br", "svg", "rect", "path", "ul", "li", "dl", "dt", "dd", "table", "caption", "tbody", "tr", "th",
		"td", "details", "summary", "a", "footer"}
	attributes := []string{"lang", "charset", "name", "content", "http-equiv", "rel", "href", "class", "datetime", "aria-labelledby", "id", "aria-hidden",
		"role", "aria-label", "width", "height", "x", "y", "rx", "overflow", "d", "scope"}
	for _, n := range all(parse(t, page), "") {
		if !slices.Contains(elements, n.Data) {
			t.Errorf("element %s", n.Data)
		}
		for _, a := range n.Attr {
			if !slices.Contains(attributes, a.Key) {
				t.Errorf("attribute %s of %s", a.Key, n.Data)
			}
			if a.Key == "href" && !slices.Contains([]string{"/status.json", "/metrics", "/healthz", "https://ca.example/incident/7"}, a.Val) {
				t.Errorf("address %q", a.Val)
			}
		}
	}
	doc.Targets = append(doc.Targets, Target{Name: "torn", State: Damaged, Damage: &Damage{hostile, hostile}})
	for _, path := range []string{"/status.json", "/healthz", "/metrics"} {
		if body := get(t, serving(doc), path); strings.ContainsAny(body, "\x00\x1b\a") || path == "/status.json" && strings.Contains(body, "<") {
			t.Errorf("%s passes on what it should not:\n%s", path, body)
		}
	}
}

// Nothing that is secret is anywhere in what is shown.
func TestNoSecrets(t *testing.T) {
	d := newDesk(t)
	doc := d.document()
	must(t, d.store.WriteFile("fine", "pending/key.pem", []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0IGtleSBvZiBhbiBvcmRlcg==\n")))
	var shown strings.Builder
	for _, path := range paths() {
		shown.WriteString(get(t, serving(doc), path))
	}
	must(t, doc.WriteText(&shown))
	secrets := 0
	must(t, filepath.WalkDir(filepath.Dir(d.store.Dir("x")), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Type()&os.ModeSymlink != 0 || !strings.HasSuffix(path, ".pem") {
			return err
		}
		data, err := os.ReadFile(path)
		for line := range strings.Lines(string(data)) { // certificates, too: nobody asks for them here
			if line = strings.TrimSpace(line); len(line) < 16 {
				continue
			}
			secrets++
			if strings.Contains(shown.String(), line) {
				t.Errorf("%s of %s is shown", line, path)
			}
		}
		return err
	}))
	if secrets < 100 {
		t.Errorf("looked for %d lines only", secrets)
	}
	if strings.Contains(shown.String(), "PRIVATE KEY") {
		t.Error("a key is shown")
	}
}
