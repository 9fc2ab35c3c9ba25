package initial

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	configfile "keypaird/cmd/keypaird/config/file"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/hooks/preset"
)

// port80Step has the web server pass challenges on, unless its own step does.
func (w *draft) port80Step(s *steps) {
	if w.port80 != byProxy || len(w.passing(w.webServer())) > 0 {
		return
	}
	server := w.webServer()
	lines, root := preset.ChallengeFor(server, preset.ChallengeAddress)
	switch {
	case len(lines) == 0:
		s.step("Have the server on port 80 pass /.well-known/acme-challenge/ of %s on to http://%s.", w.host, preset.ChallengeAddress)
		return
	case root != "" && !exists(root):
		s.step("%s passes nothing on. Make a directory for challenges, write webroot = %q instead of listen into [http-01], and add these lines:", server, root)
		s.commands("install -d -m 0755 " + root)
	default:
		s.step("%s has port 80. So that CAs reach keypaird there for %s:", server, w.host)
	}
	s.lines(lines...)
}

// passing returns the lines by which a server that is deployed to passes challenges on; none:
// it does not, or not by lines alone.
func (w *draft) passing(server string) []string {
	if w.port80 != byProxy || server != w.webServer() || !slices.Contains(w.deploy, server) {
		return nil
	}
	lines, root := preset.ChallengeFor(server, preset.ChallengeAddress)
	if root != "" && !exists(root) {
		return nil
	}
	return lines
}

// serverStep has a server use the files of the targets.
func (w *draft) serverStep(s *steps, cfg *config.Config, name string) {
	if byDefault(name) {
		s.Blank()
		s.text("%s needs no lines: it finds the files by the names they are for.", name)
		return
	}
	d := cfg.Deployment(name)
	lines := w.passing(name)
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
	which := ""
	if len(w.passing(name)) > 0 {
		which = ", which passes challenges for " + w.host + " on to keypaird"
	}
	s.step("In the configuration of %s%s:", name, which)
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

// byDefault reports whether a server finds the files without lines of its own.
func byDefault(server string) bool {
	setting, value, ok := strings.Cut(preset.Finds(server), " = ")
	if !ok {
		return false
	}
	set := regexp.MustCompile(`(?m)^[ \t]*` + setting + `[ \t]*=[ \t]*(.*)`)
	for _, file := range prosodyFiles() {
		data, _ := configfile.ReadSmall(file)
		for _, m := range set.FindAllStringSubmatch(string(data), -1) {
			if !strings.HasPrefix(m[1], value) {
				return false
			}
		}
	}
	return true
}

// reloadStep has servers read their lines.
func (w *draft) reloadStep(ctx context.Context, s *steps, cfg *config.Config, keypaird string) {
	lacks := func(name string) bool {
		d := cfg.Deployment(name)
		return !byDefault(name) && (len(d.Outputs()) > 0 || !w.stoodIn)
	}
	if slices.ContainsFunc(w.deploy, lacks) {
		s.step("Servers that have these lines do not start, or not as they should, while the files are missing. Stand-ins, which are self-signed and replace nothing, help until the first certificate is there:")
		s.commands(keypaird + " deploy -stand-in")
	}
	var list [][]string
	if w.provider.Code == "rfc2136" && len(w.dnsNames()) > 0 {
		switch w.nameServer() {
		case "named":
			list = append(list, orUnit(ctx, "named", "rndc", "reconfig"))
		case "knotd":
			list = append(list, orUnit(ctx, "knot", "knotc", "reload"))
		}
	}
	for _, name := range w.deploy {
		d := cfg.Deployment(name)
		switch {
		case byDefault(name):
		case name == "nginx":
			list = append(list, orUnit(ctx, name, d.Reload...))
		case name == "postfix": // its reload is a script
			list = append(list, []string{"postfix", "reload"})
		case len(d.Reload) > 0:
			list = append(list, d.Reload)
		}
	}
	if len(list) > 0 {
		s.step("Have the servers read their configuration:")
		s.commands(together(list)...)
	}
}

// orUnit returns the command by which systemd reloads a service, if it can; else another.
func orUnit(ctx context.Context, service string, otherwise ...string) []string {
	if preflight.UnitReloads(ctx, service+".service") {
		return []string{"systemctl", "reload", service}
	}
	return otherwise
}

// together returns command lines, one for all services of which a service manager is asked
// the same.
func together(list [][]string) (lines []string) {
	for i, argv := range list {
		same := func(o []string) bool {
			return (o[0] == "systemctl" || o[0] == "rcctl") && len(o) == 3 && len(argv) == 3 && slices.Equal(o[:2], argv[:2])
		}
		if slices.ContainsFunc(list[:i], same) {
			continue
		}
		line := strings.Join(argv, " ")
		for _, o := range list[i+1:] {
			if same(o) {
				line += " " + o[2]
			}
		}
		lines = append(lines, line)
	}
	return lines
}
