package initial

import (
	"slices"
	"strings"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/hooks/preset"
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

// names returns the names to certify that DNS validates.
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
}
