package initial

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/hooks/preset"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// Words that answer a question with nothing.
const (
	none    = "none"
	persist = "persist" // dns-persist-01
)

// Answers to who has port 80.
const (
	byProxy = "proxy"    // a web server, which passes challenges on
	byUs    = "keypaird" // keypaird listens while an order needs it
)

// answers are what the configuration is made of.
type answers struct {
	domain, host string
	services     []string
	components   []string
	deploy       []string
	port80       string
	provider     provider // with an empty code: none
	env          []variable
	email        string
	tlsa         []string // names of TLSA records about the key of the host
}

// A variable is one of a DNS account.
type variable struct{ name, value string }

// dnsNames returns the names to certify that DNS validates.
func (a *answers) dnsNames() []string {
	switch {
	case a.provider.Code == "":
		return nil
	case a.host == a.domain:
		return a.components
	}
	return append([]string{a.domain}, a.components...)
}

// hostOnly reports whether peers need the name of the host alone: mail programs and mail
// servers never ask for that of the domain.
func (a *answers) hostOnly() bool {
	mail := func(s string) bool { return s == "mail" || s == "smtp" || s == "imap" }
	return len(a.services) > 0 && !slices.ContainsFunc(a.services, func(s string) bool { return !mail(s) })
}

// identity reports whether the domain and its host have an [identity] table. There can
// be no tlsa in one.
func (a *answers) identity() bool {
	return a.host != a.domain && a.provider.Code != "" && len(a.tlsa) == 0
}

// single returns a deployment that presents one certificate for all names, or "".
func (a *answers) single() string {
	for _, name := range a.deploy {
		if d, _ := preset.Lookup(name); d.Single {
			return name
		}
	}
	return ""
}

// rights returns what the account must be allowed to do, and lines for the DNS server,
// for the names that it validates.
func (a *answers) rights() (rights string, lines []string) {
	rights = strings.ReplaceAll(a.provider.Rights, "DOMAIN", a.domain)
	if a.provider.Code != "rfc2136" {
		return rights, a.provider.Lines
	}
	lines = []string{"update-policy {"}
	for _, n := range challengeNames(a.dnsNames()) {
		lines = append(lines, "\tgrant keypaird name "+n+". TXT;")
	}
	return rights, append(lines, "};")
}

func challengeNames(names []string) (list []string) {
	for _, n := range names {
		list = append(list, "_acme-challenge."+n)
	}
	return list
}

// A draft is a configuration on its way, with what is known of the machine and the domain.
type draft struct {
	answers
	machine *machine
	outside message.Machine // what DNS says
	path    string          // of the file
	group   int             // of the file; -1: that of the process

	state, usual string // the directory of the state, and the usual one; "": the usual one can be used

	missing           []variable      // that name files which did not exist
	made              map[string]bool // paths of files beside the configuration
	wrote             []string        // lines about them
	prepared, stoodIn bool            // the service; servers that read the state
	old               bool            // the configuration was there before
}

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
