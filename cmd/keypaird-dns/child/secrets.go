package child

import (
	"encoding/base64"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// secrets makes what hides the values of an environment, and those in the files
// that its NAME_FILE variables name, in texts for the parent.
func secrets(environ []string) *strings.Replacer {
	type pair struct{ text, name string }
	var all []pair
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if plain, ok := strings.CutSuffix(name, "_FILE"); ok {
			name, value = plain, contents(value)
		}
		if len(value) < 6 || !secretName(name) {
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
	return strings.NewReplacer(list...)
}

// contents is what a file begins with, or nothing. What is not a file, a pipe
// say, is left to the provider: it can be read only once.
func contents(path string) string {
	if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
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
