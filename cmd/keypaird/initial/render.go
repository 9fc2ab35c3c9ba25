package initial

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/hooks/preset"
	"keypaird/hooks/probe"
)

// render returns the text of the configuration.
func (w *draft) render(ctx context.Context) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by keypaird init on %s. keypaird.toml(5) has every key,\n# and keypaird check finds mistakes.\n", time.Now().Format(time.DateOnly))
	if w.email != "" {
		fmt.Fprintf(&b, "email = %s\n", tomltext.Quote(w.email))
	}
	if w.state != "" {
		fmt.Fprintf(&b, "\n# Keys and certificates: this user may not write to %s.\nstate = %s\n", w.usual, tomltext.Quote(w.state))
	}
	w.renderHTTP(&b)
	w.renderDNS(&b)
	if w.identity() {
		w.renderIdentity(&b)
	} else {
		w.renderCerts(&b)
	}
	for _, name := range w.deploy {
		w.renderDeploy(ctx, &b, name)
	}
	return b.String()
}

func (w *draft) renderHTTP(b *strings.Builder) {
	if w.port80 != byProxy {
		return
	}
	server := w.webServer()
	if _, root := preset.ChallengeFor(server, preset.ChallengeAddress); root != "" && exists(root) {
		fmt.Fprintf(b, "\n# %s has port 80 and shows this directory as /.well-known/acme-challenge/.\n[http-01]\nwebroot = %s\n", server, tomltext.Quote(root))
		return
	}
	if server == "" {
		server = "the web server"
	}
	fmt.Fprintf(b, "\n# %s has port 80 and passes /.well-known/acme-challenge/ on.\n[http-01]\nlisten = %s\n", server, tomltext.Quote(preset.ChallengeAddress))
}

func (w *draft) renderDNS(b *strings.Builder) {
	if w.provider.Code == "" || w.provider.Code == persist {
		return
	}
	fmt.Fprintf(b, "\n# The account that changes TXT records of %s.\n", strings.Join(challengeNames(w.dnsNames()), ", "))
	t := table{}
	t.add("provider", tomltext.Quote(w.provider.Code), "")
	var env []string
	for _, v := range w.env {
		env = append(env, v.name+" = "+tomltext.Quote(v.value))
	}
	if len(env) > 0 {
		t.add("env", "{ "+strings.Join(env, ", ")+" }", "")
	}
	fmt.Fprintf(b, "[dns.%s]\n", w.provider.table())
	t.write(b)
}

func (w *draft) renderIdentity(b *strings.Builder) {
	fmt.Fprintf(b, "\n# Peers and clients request %s; its server is %s.\n[identity.%s]\n", w.domain, w.host, tomltext.Quote(w.domain))
	t := table{}
	t.add("host", tomltext.Quote(w.host), "validated by http-01")
	t.addList("services", w.services)
	t.addList("components", w.components)
	t.add("dns", tomltext.Quote(w.provider.table()), w.domain+" is validated by DNS")
	t.addList("deploy", w.deploy)
	if s := w.single(); s != "" {
		t.add("one_certificate", "true", s+" presents one certificate for all names")
	}
	t.write(b)
}

// renderCerts writes the tables of what is no identity: one certificate, or two if the
// key of the host has TLSA records.
func (w *draft) renderCerts(b *strings.Builder) {
	host, dns := w.host, w.dnsNames()
	if len(w.tlsa) > 0 && len(dns) > 0 && w.single() == "" {
		w.renderCert(b, w.domain, "", dns, nil, slices.DeleteFunc(slices.Clone(w.deploy), isMail))
		dns = nil
	}
	w.renderCert(b, host, host, dns, w.tlsa, w.deploy)
}

func (w *draft) renderCert(b *strings.Builder, name, http string, dns, tlsa, deploy []string) {
	fmt.Fprintf(b, "\n[cert.%s]\n", tomltext.Quote(name))
	t := table{}
	if http != "" {
		t.addList("http-01", []string{http})
	}
	switch {
	case len(dns) == 0:
	case w.provider.Code == persist:
		t.addList("dns-persist-01", dns)
	default:
		t.addList("dns-01", dns)
		t.add("dns", tomltext.Quote(w.provider.table()), "")
	}
	if len(tlsa) > 0 {
		t.add("tlsa", tomltext.QuoteAll(tlsa), "keypaird status shows the records to publish")
	}
	t.addList("deploy", deploy)
	t.write(b)
}

func isMail(server string) bool { return serviceOf[server] == "mail" }

// table are keys, values and comments.
type table [][3]string

func (t *table) add(key, value, comment string) { *t = append(*t, [3]string{key, value, comment}) }

// addList adds a list, unless it is empty.
func (t *table) addList(key string, words []string) {
	if len(words) > 0 {
		t.add(key, tomltext.QuoteAll(words), "")
	}
}

func (t table) write(b *strings.Builder) {
	width := 0
	for _, line := range t {
		width = max(width, len(line[0]))
	}
	for _, line := range t {
		fmt.Fprintf(b, "%-*s = %s", width, line[0], line[1])
		if line[2] != "" {
			b.WriteString("    # " + line[2])
		}
		b.WriteByte('\n')
	}
}

// renderDeploy writes the table of a server.
func (w *draft) renderDeploy(ctx context.Context, b *strings.Builder, name string) {
	var endpoints []string
	for _, e := range w.endpoints(ctx, name) {
		endpoints = append(endpoints, w.endpoint(e))
	}
	fmt.Fprintf(b, "\n# %s must serve new certificates here; else the previous ones are restored.\n[deploy.%s]\nverify = [%s]\n", name, name, strings.Join(endpoints, ", "))
	if name == "haproxy" && w.machine.socket != "" {
		fmt.Fprintf(b, "socket = %s    # pairs are exchanged without a reload\n", tomltext.Quote(w.machine.socket))
	}
	if d, _ := preset.Lookup(name); len(d.Outputs()) > 0 {
		if g := group(d.Group); g != "" && g != d.Group {
			fmt.Fprintf(b, "group = %s\n", tomltext.Quote(g))
		}
	}
}

// more are endpoints that servers often have beside the usual ones.
var more = map[string][]string{
	"nginx": {"127.0.0.1:8448"}, "haproxy": {"127.0.0.1:8448", "127.0.0.1:5223"}, "apache": {"127.0.0.1:8448"}, "caddy": {"127.0.0.1:8448"},
	"relayd": {"127.0.0.1:8448"}, "prosody": {"127.0.0.1:5223", "127.0.0.1:5270"}, "ejabberd": {"127.0.0.1:5223", "127.0.0.1:5270"},
	"exim": {"smtp:127.0.0.1:587", "127.0.0.1:465"}, "opensmtpd": {"smtp:127.0.0.1:587", "127.0.0.1:465"},
	"postfix": {"smtp:127.0.0.1:587", "127.0.0.1:465"}, "dovecot": {"127.0.0.1:993", "pop3:127.0.0.1:110", "127.0.0.1:995", "sieve:127.0.0.1:4190"},
}

// endpoints returns where a server is to be seen to serve: the usual endpoints, but for
// those where it does not listen beside others where it does, and those of the others
// that speak TLS today.
func (w *draft) endpoints(ctx context.Context, name string) []string {
	usual := preset.UsualEndpoints(name)
	open := slices.DeleteFunc(slices.Clone(usual), func(e string) bool {
		p, err := probe.ParseEndpoint(e)
		return err != nil || !listens(fmt.Sprint(p.Port))
	})
	for _, e := range more[name] {
		if w.ofAnother(e) {
			continue
		}
		if p, err := probe.ParseEndpoint(e); err == nil && speaksTLS(ctx, p) {
			open = append(open, e)
		}
	}
	if len(open) == 0 {
		return usual
	}
	return open
}

// ofAnother reports whether another deployment has the port of an endpoint.
func (w *draft) ofAnother(endpoint string) bool {
	_, port, _ := net.SplitHostPort(endpoint)
	return slices.ContainsFunc(w.deploy, func(name string) bool {
		return slices.ContainsFunc(preset.UsualEndpoints(name), func(e string) bool { return strings.HasSuffix(e, ":"+port) })
	}) || port == "5223" && slices.Contains(w.deploy, "haproxy") && slices.Contains(w.deploy, "prosody")
}

// maxProbe is how long one endpoint is waited for.
const maxProbe = 3 * time.Second

func speaksTLS(ctx context.Context, e probe.Endpoint) bool {
	limited, cancel := context.WithTimeout(ctx, maxProbe)
	defer cancel()
	_, err := probe.Dial(limited, e, "")
	return err == nil
}

// endpoint returns an item of verify, with the names that are requested there, where
// config would expect others.
func (w *draft) endpoint(e string) string {
	p, err := probe.ParseEndpoint(e)
	if err != nil {
		return tomltext.Quote(e)
	}
	certified := append(w.dnsNames(), w.host)
	wanted := certified
	identity := w.identity()
	switch port := fmt.Sprint(p.Port); {
	case p.Proto == "smtp" || p.Proto == "imap" || p.Proto == "pop3" || p.Proto == "sieve" || port == "465" || port == "993" || port == "995":
		wanted = []string{w.host} // nobody requests the domain
	case identity:
	case p.Proto == "xmpp-client" || port == "5223":
		wanted = []string{w.domain}
	case p.Proto == "xmpp-server" || port == "5270":
		wanted = append([]string{w.domain}, w.components...)
	default:
		wanted = []string{w.domain, w.host}
	}
	var names []string
	for _, n := range wanted {
		if slices.Contains(certified, n) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 || len(names) == len(certified) {
		return tomltext.Quote(e)
	}
	return fmt.Sprintf("{ endpoint = %s, names = %s }", tomltext.Quote(e), tomltext.QuoteAll(names))
}
