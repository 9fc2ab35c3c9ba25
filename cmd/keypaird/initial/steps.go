package initial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/hooks"
	"keypaird/hooks/preset"
	"keypaird/renew/textfmt"
)

// steps are what is left to do, in order.
type steps struct {
	textfmt.Writer
	n int
}

// step begins one.
func (s *steps) step(format string, args ...any) {
	s.n++
	s.Blank()
	s.Item(fmt.Sprintf("%d. ", s.n), fmt.Sprintf(format, args...))
}

// text adds a paragraph to the step.
func (s *steps) text(format string, args ...any) { s.Item("   ", fmt.Sprintf(format, args...)) }

// lines adds lines of a file.
func (s *steps) lines(lines ...string) {
	s.Blank()
	for _, line := range lines {
		s.Verbatim(7, strings.ReplaceAll(line, "\t", "    ")+"\n")
	}
}

// commands adds commands to be run as root, or as this user.
func (s *steps) commands(list ...string) {
	prompt := "# "
	if os.Geteuid() != 0 {
		prompt = "$ "
	}
	for _, c := range list {
		s.Verbatim(5, prompt+c+"\n")
	}
}

// chain adds commands as one line, which ends at the first that fails. If that line is too
// long, each has its own.
func (s *steps) chain(list ...string) {
	if line := strings.Join(list, " && "); len(line) < columns {
		list = []string{line}
	}
	s.commands(list...)
}

// steps returns what is left to do after the configuration has been written.
func (w *draft) steps(ctx context.Context, cfg *config.Config) string {
	s := &steps{Writer: textfmt.Writer{Width: columns}}
	s.Line(0, "wrote %s", w.path)
	w.account(s)
	w.lacking(ctx, s, cfg)
	w.port80Step(s)
	for _, name := range w.deploy {
		w.serverStep(s, cfg, name)
	}
	keypaird := w.service(ctx, s, cfg) + w.command()
	w.standIns(s, cfg, keypaird)
	s.step("Try everything, then obtain the certificates, and let the daemon renew them:")
	s.chain(keypaird+" check -live", keypaird+" issue -dry-run", keypaird+" issue")
	s.commands(w.daemon())
	s.text("To let no other account certify these names, add the CAA records that this shows:")
	s.commands(keypaird + " account")
	return s.String()
}

// standIns have servers start with the lines before the first certificate is there.
func (w *draft) standIns(s *steps, cfg *config.Config, keypaird string) {
	if len(w.deploy) == 0 {
		return
	}
	s.step("Servers that have these lines do not start, or not as they should, while the files are missing. Stand-ins, which are self-signed and replace nothing, help until the first certificate is there:")
	commands := []string{keypaird + " deploy -stand-in"}
	for _, name := range w.deploy {
		d := cfg.Deployment(name)
		switch {
		case name == "postfix": // its reload is a script
			commands = append(commands, "postfix reload")
		case len(d.Reload) > 0:
			commands = append(commands, strings.Join(d.Reload, " "))
		}
	}
	s.chain(commands...)
}

// lacking says what check will complain of about the servers: what this machine lacks. If
// the service lacks something, a step of its own mends that.
func (w *draft) lacking(ctx context.Context, s *steps, cfg *config.Config) {
	var later []preflight.Finding
	if w.needsRoot(cfg) {
		later = preflight.Sandbox(ctx, cfg)
	}
	found := slices.DeleteFunc(preflight.Configuration(ctx, cfg), func(f preflight.Finding) bool {
		return f.Check != "deploy" || f.Result == preflight.Good || slices.Contains(later, f)
	})
	if len(found) > 0 {
		s.step("Make what the servers need and this machine lacks:")
	}
	for _, f := range found {
		s.Item("   - ", f.Subject+": "+f.Detail)
		if f.Remedy != "" {
			s.Item("       ", f.Remedy)
		}
	}
}

// command returns how keypaird is called so that it finds the configuration.
func (w *draft) command() string {
	if w.path == config.DefaultPath {
		return "keypaird"
	}
	return "keypaird -config " + word(w.path)
}

// word returns a word of a shell's command line.
func word(s string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && !strings.ContainsRune("\"'`\\$&|;<>()*?[]#~!{}", r) }
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// unit reports whether the service of the packages is installed, for the file that it reads.
func (w *draft) unit() bool {
	return w.path == config.DefaultPath && slices.ContainsFunc([]string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}, func(dir string) bool {
		return exists(filepath.Join(dir, "keypaird.service"))
	})
}

// daemon returns the command that starts the daemon.
func (w *draft) daemon() string {
	if w.unit() {
		return "systemctl enable --now keypaird.service"
	}
	return w.command() + " run"
}

// needsRoot reports whether the service of the packages, which has a user of its own, has
// to do what only root can.
func (w *draft) needsRoot(cfg *config.Config) bool {
	return w.group >= 0 && w.unit() && slices.ContainsFunc(w.deploy, func(name string) bool {
		d := cfg.Deployment(name)
		return preset.NeedsRoot(name) || len(d.Outputs()) > 0
	})
}

// service says how the service may do what only root can. It returns what comes before
// commands that are run as the user of the service.
func (w *draft) service(ctx context.Context, s *steps, cfg *config.Config) (as string) {
	switch {
	case w.group < 0 || !w.unit():
		return ""
	case !w.needsRoot(cfg):
		return "runuser -u keypaird -- "
	}
	commands := preflight.Prepare(ctx, cfg, "")
	if len(commands) == 0 { // systemd does not run, or nothing is left to do: twice does no harm
		commands = preflight.BecomeRoot(cfg.State)
	}
	s.step("The service runs as the user keypaird, and only root can serve these servers. Let it be root, in its sandbox, and give it its state:")
	s.commands(commands...)
	return ""
}

// account says how the DNS account gets its rights and its secrets.
func (w *draft) account(s *steps) {
	if len(w.dnsNames()) == 0 {
		return
	}
	if w.provider.Code == persist {
		s.step("Publish the record that validates %s: keypaird check -live shows it.", words(w.dnsNames()))
		return
	}
	rights, lines := w.rights()
	switch {
	case w.provider.Code == "rfc2136":
		w.tsig(s, lines)
		return
	case rights != "":
		s.step("%s: the account needs no more than %s.", w.provider.Name, rights)
		if len(lines) > 0 {
			s.lines(lines...)
		}
	default:
		s.step("%s: give the account no more rights than to change TXT records of %s, if it knows such rights.", w.provider.Name, words(challengeNames(w.dnsNames())))
	}
	for _, v := range w.secrets() {
		s.text("Put its %s into a file, then Enter and Ctrl-D:", strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(v.name, "_FILE"), "_", " ")))
		s.commands(append([]string{"(umask 077; cat >" + word(v.value) + ")"}, w.protect(v.value)...)...)
	}
}

// secrets are the variables that name files which do not exist.
func (w *draft) secrets() (list []variable) {
	for _, v := range w.env {
		if _, err := os.Stat(v.value); strings.HasSuffix(v.name, "_FILE") && errors.Is(err, fs.ErrNotExist) {
			list = append(list, v)
		}
	}
	return list
}

// protect returns the command that lets the service read a file with a secret.
func (w *draft) protect(path string) []string {
	if w.group < 0 {
		return nil
	}
	return []string{"chgrp keypaird " + word(path) + " && chmod 0640 " + word(path)}
}

// tsig says how a name server gets to know the key that signs updates, and what the key
// may change.
func (w *draft) tsig(s *steps, lines []string) {
	s.step("Make a key for updates of the zone:")
	files := w.secrets()
	if i := slices.IndexFunc(files, func(v variable) bool { return strings.HasSuffix(v.name, "_TSIG_FILE") }); i >= 0 {
		path := files[i].value
		if w.group < 0 {
			s.commands("(umask 077; tsig-keygen keypaird >" + word(path) + ")")
		} else { // the service reads it
			s.commands("(umask 027; tsig-keygen keypaird >" + word(path) + " && chgrp keypaird " + word(path) + ")")
		}
		w.bindKey(s, path)
	} else {
		s.text("It is there already.")
	}
	switch w.machine.nameserv {
	case "knotd":
		s.text("In knot.conf, with the key's algorithm and secret, and acl: keypaird in the zone:")
		s.lines(knotLines(w.dnsNames())...)
		s.text("Then:")
		s.commands("knotc reload")
	default:
		s.text("In the block of the zone of %s, in named.conf:", w.domain)
		s.lines(lines...)
		if w.machine.nameserv == "named" {
			s.text("Then:")
			s.commands("rndc reconfig")
		}
	}
}

// knotLines let a key change TXT records at the challenge names alone.
func knotLines(names []string) []string {
	var owners []string
	for _, n := range challengeNames(names) {
		owners = append(owners, n+".")
	}
	return []string{
		"key:", "  - id: keypaird", "    algorithm: hmac-sha256", "    secret: ...",
		"acl:", "  - id: keypaird", "    key: keypaird", "    action: update", "    update-type: TXT",
		"    update-owner: name", "    update-owner-match: equal", "    update-owner-name: [" + strings.Join(owners, ", ") + "]",
	}
}

// bindKey says how BIND gets the key: the directory of keypaird is closed to it, and so
// are all but its own to one that AppArmor confines.
func (w *draft) bindKey(s *steps, path string) {
	if w.machine.nameserv != "named" {
		s.text("The name server has to know this key, too. BIND reads a copy by include \"FILE\"; in named.conf.")
		return
	}
	var dir, own string
	for _, d := range []string{"/etc/bind", "/usr/local/etc/namedb", "/var/named/etc", "/etc/named", "/etc"} {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			dir = d
			break
		}
	}
	for _, g := range []string{"bind", "named", "_bind"} {
		if _, err := hooks.LookupGroup(g); err == nil {
			own = g
			break
		}
	}
	copied := filepath.Join(dir, "keypaird.key")
	if own == "" {
		own = "0"
	}
	s.text("BIND may not look into that directory, and gets a copy:")
	s.commands(fmt.Sprintf("install -o 0 -g %s -m 0640 %s %s", own, word(path), copied))
	s.text("In named.conf:")
	s.lines(fmt.Sprintf("include %q;", copied))
}

// port80Step has the web server pass challenges on.
func (w *draft) port80Step(s *steps) {
	if w.port80 != byProxy {
		return
	}
	server := w.webServer()
	lines, root := preset.ChallengeFor(server, challengeAddress)
	switch {
	case len(lines) == 0:
		s.step("Have the server on port 80 pass /.well-known/acme-challenge/ of %s on to http://%s.", w.host, challengeAddress)
		return
	case root != "" && !exists(root):
		s.step("%s passes nothing on. Make a directory for challenges, write webroot = %q instead of listen into [http-01], and add these lines:", server, root)
		s.commands("install -d -m 0755 " + root)
	default:
		s.step("%s has port 80. So that CAs reach keypaird there for %s:", server, w.host)
	}
	s.lines(lines...)
}

// serverStep has a server use the files of the targets.
func (w *draft) serverStep(s *steps, cfg *config.Config, name string) {
	d := cfg.Deployment(name)
	var lines []string
	for _, t := range cfg.Targets() {
		if !slices.Contains(t.Deploy, name) || isMail(name) && t.Name != w.host && len(cfg.Targets()) > 1 {
			continue
		}
		setup := headed(preset.SetupFor(name, &d, t.Name, cfg.State), t.Name)
		if isMail(name) { // the one of the host is for all
			setup = slices.DeleteFunc(setup, func(line string) bool {
				return strings.HasPrefix(line, "# for more names") || strings.HasPrefix(line, "tls_server_sni_maps")
			})
		}
		if !slices.Contains(lines, setup[len(setup)-1]) { // else it is the same for all
			lines = append(lines, setup...)
		}
	}
	s.step("In the configuration of %s:", name)
	s.lines(lines...)
	if server := w.machine.server(name); server != nil && len(server.certs) > 0 {
		s.text("They take the place of %s.", words(server.certs))
	}
}

// headed returns lines with the comment about a name before them, and that name in it.
func headed(lines []string, name string) (list []string) {
	for _, line := range lines {
		line, comment, _ := strings.Cut(line, "    # ")
		own := strings.Replace(comment, "of that name", "of "+name, 1)
		switch {
		case own != comment:
			list = append(list, "# "+own, line)
		case comment != "":
			list = append(list, line+"    # "+comment)
		default:
			list = append(list, strings.Replace(line, "of that name", "of "+name, 1))
		}
	}
	return list
}
