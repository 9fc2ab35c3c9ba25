package dns01

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// secrets are the values of variables that must not be repeated in messages,
// and what stands for them, for strings.NewReplacer. Values in files are known
// to the child only, which hides them as we do.
func (a *Account) secrets() []string {
	type pair struct{ text, name string }
	var all []pair
	for name, value := range a.Env {
		if len(value) < 6 || strings.HasSuffix(name, "_FILE") || !secretName(name) {
			continue
		}
		for _, text := range forms(value) {
			all = append(all, pair{text, name})
		}
	}
	// Of several that match, the first one counts.
	slices.SortFunc(all, func(x, y pair) int {
		if n := len(y.text) - len(x.text); n != 0 {
			return n
		}
		return strings.Compare(x.name, y.name)
	})
	var list []string
	for _, p := range all {
		list = append(list, p.text, "["+p.name+"]")
	}
	return list
}

// secretName says whether a variable holds a secret. The name of a TSIG key is
// none.
func secretName(name string) bool {
	name = strings.ToUpper(name)
	return !strings.HasSuffix(name, "TSIG_KEY") && slices.ContainsFunc(
		[]string{"SECRET", "TOKEN", "PASS", "KEY", "AUTH", "CREDENTIAL"},
		func(part string) bool { return strings.Contains(name, part) })
}

// forms are those in which a value may turn up.
func forms(value string) []string {
	b := []byte(value)
	return []string{
		value, strings.Join(strings.Fields(value), " "), url.QueryEscape(value), url.PathEscape(value),
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
	}
}

// queries are those of URLs, where some providers put their secrets.
var queries = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s"?]*)\?(?:\\.|[^\s"\\])+`)

func withoutQueries(text string) string { return queries.ReplaceAllString(text, "$1?…") }

// cut shortens a text to at most n bytes, more than 3.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-len("…")], "") + "…"
}
