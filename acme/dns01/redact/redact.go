package redact

import (
	"encoding/base64"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A Redactor replaces secrets in texts. The zero Redactor knows no secret and
// removes only the queries of URLs.
type Redactor struct{ secrets *strings.Replacer }

// minSecret is the length of the shortest value treated as a secret: shorter ones
// occur in texts by chance.
const minSecret = 6

// Of returns a Redactor for the secrets in an environment ("NAME=VALUE"), and for
// the contents of readable files that its NAME_FILE variables name. If a variable
// occurs more than once, the last value is used.
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
			name, value = plain, readSecret(value)
		}
		if len(value) < minSecret || !secretName(name) {
			continue
		}
		for _, text := range encodings(value) {
			all = append(all, pair{text, name})
		}
	}
	// The replacer uses the first of several matches: longer ones come first.
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

// Redact replaces each secret by its variable's name in brackets and removes the
// queries of URLs, where some providers put secrets.
func (r Redactor) Redact(text string) string {
	if r.secrets != nil {
		text = r.secrets.Replace(text)
	}
	return queries().ReplaceAllString(text, "$1?…")
}

var queries = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s"?]*)\?(?:\\.|[^\s"\\])+`)
})

// readSecret returns the first 4 KiB of a regular file, or "". A pipe is left to
// the provider, since it can be read only once.
func readSecret(path string) string {
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

// secretName reports whether a variable of that name holds a secret. The name of
// a TSIG key is not secret.
func secretName(name string) bool {
	name = strings.ToUpper(name)
	return !strings.HasSuffix(name, "TSIG_KEY") && slices.ContainsFunc(
		[]string{"SECRET", "TOKEN", "PASS", "KEY", "AUTH", "CREDENTIAL"},
		func(part string) bool { return strings.Contains(name, part) })
}

// encodings returns the forms in which a value may occur in a text.
func encodings(value string) []string {
	b := []byte(value)
	return []string{
		value, strings.Join(strings.Fields(value), " "), url.QueryEscape(value), url.PathEscape(value),
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
	}
}
