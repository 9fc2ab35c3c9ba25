// Package redact keeps the credentials of a DNS account out of messages. Both
// ends use it: keypaird-dns for what it answers, and keypaird for whatever else
// a child of its says, the last words of one that crashed among them.
//
// The package knows variables and texts, and nothing else of either end.
package redact

import (
	"encoding/base64"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A Redactor hides secrets in texts. The zero Redactor knows none, and takes away the
// queries of URLs only.
type Redactor struct{ hide *strings.Replacer }

// least is the length of the shortest value that counts as a secret: what is
// shorter turns up by chance.
const least = 6

// Of makes a Redactor of the values of an environment's variables ("NAME=VALUE"),
// and over what is in the files that its NAME_FILE variables name, as far as we
// may read them. Of several variables of one name the last one counts.
func Of(environ []string) Redactor {
	values := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	type pair struct{ text, name string }
	var all []pair
	for name, value := range values {
		if plain, ok := strings.CutSuffix(name, "_FILE"); ok {
			name, value = plain, contents(value)
		}
		if len(value) < least || !secretName(name) {
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
	return Redactor{strings.NewReplacer(list...)}
}

// Redact puts the names of variables in place of their values, and takes away the
// queries of URLs, where some providers put their secrets.
func (v Redactor) Redact(text string) string {
	if v.hide != nil {
		text = v.hide.Replace(text)
	}
	return queries.ReplaceAllString(text, "$1?…")
}

var queries = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s"?]*)\?(?:\\.|[^\s"\\])+`)

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
