package initial

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// list returns the words of an answer: commas and spaces separate them, none is no word.
func list(s string) []string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	var distinct []string
	for _, w := range words {
		if !slices.Contains(distinct, w) && w != none {
			distinct = append(distinct, w)
		}
	}
	return distinct
}

// name returns the normal form of a name of a server.
func name(s string) (string, error) {
	normal, err := hostname.Normal(strings.TrimSuffix(s, "."))
	switch {
	case err != nil:
		return "", problem.Newf(problem.Remedy(err), "%q %w", textfmt.Cut(s, 100), err)
	case hostname.IsAddress(normal):
		return "", problem.Newf("write a name", "%q is an address", normal)
	case strings.HasPrefix(normal, "*."):
		return "", problem.Newf("write the name of one server; a wildcard can be added to the file later", "%q is a wildcard", normal)
	}
	return normal, nil
}

// checkText returns the first mistake that config finds in some keys of a configuration.
func checkText(text string) error {
	_, err := config.Options{Getenv: func(string) string { return "" }, NoSecrets: true}.Parse("", text, 0o600)
	if mistakes, ok := err.(config.Mistakes); ok && len(mistakes) > 0 {
		return problem.New(mistakes[0].Problem, mistakes[0].Remedy)
	}
	return err
}

// some is a target, without which there is no configuration.
const some = "[cert.some]\nhttp-01 = [\"example.org\"]\n"

func checkEmail(s string) error {
	return checkText(fmt.Sprintf("email = %s\n%s", tomltext.Quote(s), some))
}

// checkServices checks the services of an identity.
func checkServices(services []string) error {
	return checkText("[identity.\"example.org\"]\nhost = \"host.example.org\"\ndns = \"persist\"\nservices = " + tomltext.QuoteAll(services) + "\n")
}

// checkTogether checks the names of an identity.
func checkTogether(domain, host string, components []string) error {
	return checkText(fmt.Sprintf("[identity.%s]\nhost = %s\ndns = \"persist\"\ncomponents = %s\n", tomltext.Quote(domain), tomltext.Quote(host), tomltext.QuoteAll(components)))
}

// absolute returns path from / on.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// exists reports whether there is a file, or may be.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !os.IsNotExist(err)
}
