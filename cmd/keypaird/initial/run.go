package initial

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"keypaird/acme/dns01/redact"
	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/names"
	"keypaird/cmd/keypaird/output"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/hooks/preset"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// Options are what the command line says.
type Options struct {
	file  string            // -o
	given map[string]string // answers by flag
	sets  []variable        // -env
	yes   bool
}

// Flags defines the flags of init and returns what they set.
func Flags(f *flag.FlagSet) *Options {
	o := &Options{given: map[string]string{}}
	f.StringVar(&o.file, "o", "", "write this `file`; default: the one of -config")
	answer := func(name, usage string) {
		f.Func(name, usage, func(s string) error {
			o.given[name] = strings.TrimSpace(s)
			return nil
		})
	}
	answer("host", "the server's own `name`")
	answer("services", "the `services` of the domain, with commas between: "+strings.Join(slices.Sorted(slices.Values(config.Services)), ", "))
	answer("components", "further XMPP `domains`, with commas between")
	answer("deploy", "the `servers` that use the certificates, with commas between: keypaird deploy -list; or none")
	answer("port80", "`who` has port 80: proxy, a web server that passes challenges on, or keypaird")
	answer("dns", "the DNS `provider`: keypaird dns lists them; or persist, or none")
	answer("email", "the mail `address` that the CA may write to")
	f.Func("env", "a variable of the DNS account, `VARIABLE=VALUE`; may be given several times", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return errors.New("write VARIABLE=VALUE")
		}
		o.sets = append(o.sets, variable{name, value})
		return nil
	})
	f.BoolVar(&o.yes, "yes", false, "ask nothing, and take what would be proposed")
	return o
}

// Streams are what init reads and writes.
type Streams struct {
	Getenv   func(string) string
	In       *os.File
	Out, Err io.Writer // results; questions and everything else
}

// work is one run of init.
type work struct {
	*draft
	*Options
	Streams
	asking bool // at a terminal
}

// Run writes a first configuration to the file path, unless -o names another, for a
// domain, which may be "". ctx ends when the operator interrupts.
func Run(ctx context.Context, o *Options, domain, path string, s Streams) error {
	w := &work{draft: &draft{group: ourGroup(), path: absolute(cmp.Or(o.file, path))}, Options: o, Streams: s}
	if err := checkPlace(w.path); err != nil {
		return w.again(ctx, domain, err)
	}
	w.asking = !o.yes && len(o.given)+len(o.sets) == 0 && isTerminal(s.In) && isTerminal(output.File(s.Err))
	if domain != "" {
		o.given["domain"] = domain
	}
	w.machine = look(ctx)
	if w.asking {
		fmt.Fprintln(s.Err, textfmt.Wrap("", "This writes "+w.path+" and what belongs to it. Enter takes what stands in brackets, ? shows choices, and Ctrl-C ends: nothing is changed before the last answer.", columns, 0))
	}
	err := w.answer(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was changed")
	}
	if err != nil {
		return err
	}
	cfg, err := w.write(ctx, s.Getenv)
	if err != nil {
		return err
	}
	w.prepare(ctx, cfg)
	_, err = io.WriteString(s.Out, w.steps(ctx, cfg))
	return err
}

// again prints the steps of a configuration that init wrote before, and changes nothing.
// It returns refusal if this is another one, or shall be.
func (w *work) again(ctx context.Context, domain string, refusal error) error {
	cfg, err := config.Load(config.Options{Path: w.path, Getenv: w.Getenv, NoSecrets: true, HasProvider: preflight.HasProvider})
	if err != nil || !w.restore(ctx, cfg) {
		return refusal
	}
	asked := &draft{}
	if domain != "" && (setDomain(ctx, asked, domain) != nil || asked.domain != w.domain) || len(w.given)+len(w.sets) > 0 {
		same := "keypaird init"
		if w.path != config.DefaultPath {
			same += " -o " + word(w.path)
		}
		return problem.Wrap(refusal, "to see its steps again: "+same+"; "+problem.Remedy(refusal))
	}
	w.old, w.machine = true, look(ctx)
	w.stoodIn = !slices.ContainsFunc(cfg.Targets(), func(t config.Target) bool {
		return !exists(filepath.Join(cfg.State, "certs", t.Name, "live"))
	})
	_, err = io.WriteString(w.Out, w.steps(ctx, cfg))
	return err
}

// restore sets the answers that cfg is made of, and reports whether init writes such a
// configuration.
func (w *draft) restore(ctx context.Context, cfg *config.Config) bool {
	var account string
	var http, dns []string
	for domain, i := range cfg.Identity {
		w.domain, w.host, w.services, w.components = domain, i.Host, i.Services, i.Components
		account, w.deploy = i.DNS, i.Deploy
		if len(cfg.Identity)+len(cfg.Cert) > 1 || i.HostDNS != "" {
			return false
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Cert)) {
		c := cfg.Cert[name]
		http, dns, w.tlsa = append(http, c.HTTP01...), append(append(dns, c.DNS01...), c.DNSPersist01...), append(w.tlsa, c.TLSA...)
		w.deploy = list(words(append(w.deploy, c.Deploy...)))
		if account = cmp.Or(c.DNS, account); len(c.DNSPersist01) > 0 {
			account = persist
		}
	}
	if len(cfg.Cert) > 0 {
		if len(http) != 1 || len(cfg.Cert) > 2 {
			return false
		}
		w.host, w.domain, w.components = http[0], http[0], dns
		if len(dns) > 0 && strings.HasSuffix(w.host, "."+dns[0]) {
			w.domain, w.components = dns[0], dns[1:]
		}
	}
	w.port80 = byUs
	if cfg.HTTP01.Listen == preset.ChallengeAddress || cfg.HTTP01.Webroot != "" {
		w.port80 = byProxy
	}
	w.restoreAccount(ctx, account, cfg.DNS[account])
	unknown := func(name string) bool { _, ok := preset.Lookup(name); return !ok }
	return w.host != "" && !slices.ContainsFunc(w.deploy, unknown)
}

// restoreAccount sets the DNS account, with the files that it still lacks. A key for updates
// may be unknown to the name server.
func (w *draft) restoreAccount(ctx context.Context, account string, d config.DNS) {
	if w.provider = (provider{Code: account}); account != "" && account != persist {
		var err error
		if w.provider, err = describe(ctx, d.Provider); err != nil {
			w.provider = provider{Code: d.Provider, Name: d.Provider}
		}
	}
	copied, _, _ := bindCopy()
	w.made = map[string]bool{copied: w.path == config.DefaultPath && exists(copied)}
	for _, name := range slices.Sorted(maps.Keys(d.Env)) {
		v := variable{name, d.Env[name]}
		w.env = append(w.env, v)
		info, err := os.Stat(v.value)
		if strings.HasSuffix(name, "_FILE") && (err != nil || info.Size() == 0 || isTSIG(v)) {
			w.missing = append(w.missing, v)
			w.made[v.value] = !errors.Is(err, fs.ErrNotExist)
		}
	}
}

func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// answer gets every question answered.
func (w *work) answer(ctx context.Context) error {
	var missing []question
	for _, q := range questions {
		if err := w.resolve(ctx, q, &missing); err != nil {
			return err
		}
		if q.flag == "domain" && len(missing) == 0 {
			if err := w.discover(ctx); err != nil {
				return err
			}
		}
		if q.flag == "host" && w.host != "" && w.host == w.outside.Host {
			w.tlsa = w.outside.TLSA
		}
		if q.flag == "domain" && len(missing) > 0 {
			break // nothing can be proposed without it
		}
	}
	if err := w.answerVariables(ctx, &missing); err != nil {
		return err
	}
	return w.lacks(missing)
}

// answerVariables gets the variables of the DNS account.
func (w *work) answerVariables(ctx context.Context, missing *[]question) error {
	w.env = w.provider.variables(filepath.Dir(w.path))
	for _, v := range w.sets {
		if redact.IsSecret(v.name, v.value) && !strings.HasSuffix(v.name, "_FILE") {
			return problem.Newf("put it into a file: -env "+v.name+"_FILE=FILE", "-env %s: others can read secrets on a command line", v.name)
		}
		same := func(o variable) bool {
			return strings.TrimSuffix(o.name, "_FILE") == strings.TrimSuffix(v.name, "_FILE")
		}
		if i := slices.IndexFunc(w.env, same); i >= 0 {
			w.env[i] = v
		} else {
			w.env = append(w.env, v)
		}
	}
	for i, v := range w.env {
		if v.value == "" {
			if err := w.resolve(ctx, w.variableQuestion(i), missing); err != nil {
				return err
			}
		}
	}
	w.env = slices.DeleteFunc(w.env, func(v variable) bool { return v.value == "" })
	return nil
}

// resolve gets one question answered: by a flag, by the operator or by the proposal.
// Without an answer, the question is missing.
func (w *work) resolve(ctx context.Context, q question, missing *[]question) error {
	given, isGiven := w.given[q.flag]
	if q.asked != nil && !q.asked(w.draft) && !isGiven {
		return nil
	}
	optional := q.optional != nil && q.optional(w.draft)
	switch {
	case isGiven:
		if err := q.set(ctx, w.draft, given); err != nil {
			return problem.Wrap(fmt.Errorf("-%s: %w", q.flag, err), problem.Remedy(err))
		}
		return nil
	case w.asking:
		return w.ask(ctx, q, optional)
	}
	proposal := q.propose(w.draft)
	if proposal != "" && (w.yes || q.flag == "port80") {
		return q.set(ctx, w.draft, proposal)
	}
	if !optional {
		*missing = append(*missing, q)
	}
	return nil
}

// lacks returns an error that names the missing answers, and a command line with what is
// proposed for them.
func (w *work) lacks(missing []question) error {
	if len(missing) == 0 {
		return nil
	}
	if missing[0].flag == "domain" {
		return problem.New("the domain is missing", "keypaird init DOMAIN, or at a terminal: keypaird init")
	}
	var flags, line []string
	for _, q := range missing {
		flags = append(flags, "-"+strings.TrimSuffix(q.flag, "="))
		proposal := strings.ReplaceAll(cmp.Or(q.propose(w.draft), strings.ToUpper(q.flag)), ", ", ",")
		if strings.HasSuffix(q.flag, "=") {
			line = append(line, "-"+q.flag+cmp.Or(q.propose(w.draft), "VALUE"))
			continue
		}
		line = append(line, "-"+q.flag, proposal)
	}
	return problem.Newf("for example: keypaird init "+strings.Join(append(line, w.domain), " "), "missing: %s", strings.Join(flags, ", "))
}

// discover asks DNS about the domain. Without an answer nothing is proposed.
func (w *work) discover(ctx context.Context) error {
	if w.asking {
		fmt.Fprintf(w.Err, "(asking DNS about %s)\n", w.domain)
	}
	a, err := names.Ask(ctx, message.Request{
		Discover: &message.Discover{Domain: w.domain, Machine: true}, Format: message.Facts,
	}, io.Discard)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && a.Error != "":
		err = problem.New(a.Error, a.Remedy)
	}
	if err != nil {
		fmt.Fprintf(w.Err, "keypaird: nothing is known from DNS: %v\n", err)
	}
	w.outside = message.Machine{}
	if a.Needs != nil && a.Needs.Machine != nil {
		w.outside = *a.Needs.Machine
	}
	return nil
}
