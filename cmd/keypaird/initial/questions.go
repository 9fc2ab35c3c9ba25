package initial

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"keypaird/acme/dns01/need"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/hooks/preset"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A question is one that a configuration begins with, and the flag that answers it.
type question struct {
	flag, text string
	choices    func() []string                                          // shown for "?"; nil: none
	asked      func(w *draft) bool                                      // nil: always
	optional   func(w *draft) bool                                      // an empty answer will do; nil: no
	propose    func(w *draft) string                                    // "" is no proposal
	set        func(ctx context.Context, w *draft, answer string) error // its error says what is wrong with the answer
}

// questions are in the order in which they are asked: proposals rest on earlier answers.
var questions = []question{
	{
		flag: "domain", text: "Domain, as in @ann:example.org and ann@example.org",
		propose: (*draft).proposeDomain, set: setDomain,
	},
	{
		flag: "host", text: "Name of this server",
		propose: (*draft).proposeHost,
		set: func(_ context.Context, w *draft, answer string) (err error) {
			w.host, err = name(answer)
			if err == nil && w.host != w.domain {
				err = checkTogether(w.domain, w.host, nil)
			}
			return err
		},
	},
	{
		flag: "services", text: "Services of the domain on it, or none", choices: func() []string { return slices.Sorted(slices.Values(config.Services)) },
		optional: always, propose: (*draft).proposeServices,
		set: func(_ context.Context, w *draft, answer string) error {
			w.services = list(answer)
			return checkServices(w.services)
		},
	},
	{
		flag: "components", text: "XMPP components, such as conference.example.org, or none",
		asked:    func(w *draft) bool { return slices.Contains(w.services, "xmpp") },
		optional: always, propose: func(w *draft) string { return words(prosodyComponents(w.domain)) },
		set: setComponents,
	},
	{
		flag: "deploy", text: "Servers that use the certificates, or none", choices: preset.Names,
		propose: func(w *draft) string { return words(w.proposeServers()) },
		set: func(_ context.Context, w *draft, answer string) error {
			w.deploy = list(answer)
			return checkServers(w.deploy)
		},
	},
	{
		flag: "port80", text: "Port 80: " + byProxy + " (a web server has it, and passes challenges on) or " + byUs + " (nothing else has it)",
		optional: always, propose: (*draft).proposePort80,
		set: func(_ context.Context, w *draft, answer string) error {
			if w.port80 = answer; answer != byProxy && answer != byUs {
				return problem.Newf("write "+byProxy+" or "+byUs, "%q is neither", textfmt.Cut(answer, 100))
			}
			return nil
		},
	},
	{
		flag: "email", text: "Mail address for the CA, or none",
		optional: always, propose: func(w *draft) string { return "hostmaster@" + w.domain },
		set: func(_ context.Context, w *draft, answer string) error {
			if w.email = answer; answer == none {
				w.email = ""
			}
			return checkEmail(w.email)
		},
	},
	{
		flag: "dns", text: "DNS provider: a code of \"keypaird dns\", " + persist + " (one record, no account) or none",
		asked:    func(w *draft) bool { return w.host != w.domain || len(w.components) > 0 },
		optional: (*draft).needsNoDNS, propose: (*draft).proposeDNS, set: setDNS,
	},
}

func always(*draft) bool { return true }

func words(list []string) string { return strings.Join(list, ", ") }

func setDomain(_ context.Context, w *draft, answer string) (err error) {
	if _, behind, ok := strings.Cut(answer, "@"); ok {
		answer = behind
		if _, server, ok := strings.Cut(answer, ":"); ok {
			answer = server
		}
	}
	if w.domain, err = name(answer); err != nil {
		return err
	}
	return checkText(fmt.Sprintf("[cert.some]\nhttp-01 = [%s]\n", tomltext.Quote(w.domain)))
}

func setComponents(_ context.Context, w *draft, answer string) error {
	w.components = nil
	for _, c := range list(answer) {
		normal, err := name(c)
		if err != nil {
			return err
		}
		w.components = append(w.components, normal)
	}
	host := w.host
	if host == w.domain {
		host = "host-of." + w.domain // an identity has another
	}
	return checkTogether(w.domain, host, w.components)
}

func setDNS(ctx context.Context, w *draft, answer string) (err error) {
	switch answer {
	case none, "":
		w.provider = provider{}
		if len(w.components) > 0 {
			return problem.New("components are validated by DNS", "name the provider, or leave the components out")
		}
		return nil
	case persist:
		w.provider = provider{Code: persist}
		return nil
	}
	if w.provider, err = describe(ctx, answer); err == nil {
		_, err = need.User("") // the user of its child
	}
	return err
}

// variableQuestion asks for a variable of the DNS account.
func (w *draft) variableQuestion(i int) question {
	v := &w.env[i]
	text := v.name
	if such := w.provider.example(v.name); such != "" {
		text += ", such as " + such
	}
	required := w.provider.Rights != "" // else lego's example shows several ways
	return question{
		flag: "env " + v.name + "=", text: text,
		optional: func(*draft) bool { return !required },
		propose:  func(w *draft) string { return w.proposeVariable(v.name) },
		set: func(_ context.Context, _ *draft, answer string) error {
			if strings.ContainsFunc(answer, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return problem.New("the value has a control character", "leave it out")
			}
			if v.name == "RFC2136_NAMESERVER" && net.ParseIP(answer) == nil {
				host, _, err := net.SplitHostPort(answer)
				if err != nil {
					host = answer
				}
				if _, err := hostname.Normal(host); err != nil {
					return problem.Newf("write its address or name, with :port if it is not 53", "%q is no name server", textfmt.Cut(answer, 100))
				}
			}
			v.value = answer
			return nil
		},
	}
}
