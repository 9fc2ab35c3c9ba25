package preset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"keypaird/hooks"
	"keypaird/hooks/command"
)

// An effective says how to learn which certificate files a server's own
// configuration names. The functions get the check command of the deployment.
type effective struct {
	commands func(check []string) [][]string               // print the configuration, or parts of it; nil: none
	files    func(check []string, printed string) []string // of the configuration, to be read; nil: none
	lists    string                                        // pattern, group 1: a file of lines that begin with a path; "": none
	path     string                                        // pattern, group 1: a certificate file, or a directory of them
}

// comments are those of configuration files.
const comments = `(?m)(?:^|[ \t])#.*$`

// maxAsking is how long one of the commands may take.
const maxAsking = 20 * time.Second

// Named are the certificate files, and directories of them, that the configuration of
// a server names.
type Named []string

// Has reports whether the server reads the file path.
func (n Named) Has(path string) bool {
	real := resolved(path)
	return slices.ContainsFunc(n, func(p string) bool {
		if prefix, _, variable := strings.Cut(p, "$"); variable {
			return strings.HasPrefix(path, prefix)
		}
		if matched, _ := filepath.Match(p, path); matched || resolved(p) == real || resolved(p) == filepath.Dir(real) {
			return true
		}
		return !filepath.IsAbs(p) && strings.HasSuffix(path, "/"+p)
	})
}

// resolved returns path without symbolic links, where it exists.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

// Configured returns the certificate files that the configuration of a preset's
// server names; not known: there is no way to learn it. With an error, which is the
// server's own, the list may lack some.
func Configured(ctx context.Context, preset string, d *hooks.Deployment) (named Named, known bool, err error) {
	r := find(preset)
	if r == nil || r.effective.path == "" {
		return nil, false, nil
	}
	ask := r.effective
	var text strings.Builder
	for _, argv := range ask.questions(d) {
		printed, failed := output(ctx, argv)
		text.WriteString(printed + "\n")
		if failed != nil && err == nil {
			err = failed
		}
	}
	if ask.files != nil {
		for _, file := range ask.files(d.Check, text.String()) {
			data, failed := os.ReadFile(file)
			text.Write(append(regexp.MustCompile(comments).ReplaceAll(data, nil), '\n'))
			if failed != nil && err == nil {
				err = failed
			}
		}
	}
	if ask.lists != "" {
		for _, list := range first(ask.lists, text.String()) {
			data, _ := os.ReadFile(list)
			for line := range strings.Lines(string(data)) {
				named = append(named, strings.Fields(line)...)
			}
		}
	}
	return append(named, first(ask.path, text.String())...), true, err
}

// questions returns the commands that print the configuration of a deployment's server.
func (e effective) questions(d *hooks.Deployment) [][]string {
	if e.commands == nil {
		return nil
	}
	return e.commands(d.Check)
}

// first returns group 1 of all matches, without quotation marks. The patterns are compiled
// here: most processes never ask a server.
func first(pattern, text string) []string {
	var list []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		list = append(list, strings.Trim(m[1], `"'`))
	}
	return list
}

// output runs a command and returns what it prints. The error is the first line of
// that which says so.
func output(ctx context.Context, argv []string) (string, error) {
	if err := (&hooks.Deployment{Check: argv}).Runnable(); err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, maxAsking)
	defer cancel()
	printed, _, err := command.Output(limited, argv)
	if err == nil {
		return string(printed), nil
	}
	why := err.Error()
	for line := range strings.Lines(string(printed)) {
		if strings.TrimSpace(line) != "" {
			why = strings.TrimSpace(line)
			break
		}
	}
	return string(printed), fmt.Errorf("%s: %w", strings.Join(argv, " "), errors.New(why))
}

// SetupFor returns the lines of the server's own configuration that make it use the
// files of a target. state is keypaird's state directory.
func SetupFor(preset string, d *hooks.Deployment, target, state string) []string {
	r := find(preset)
	if r == nil {
		return nil
	}
	own := r.deployment(runtime.GOOS)
	theirs, ours := own.Paths("NAME"), d.Paths(target)
	var places []string
	for i := range min(len(theirs), len(ours)) {
		places = append(places, theirs[i], ours[i])
	}
	for i := range min(len(theirs), len(ours)) {
		places = append(places, filepath.Dir(theirs[i])+"/", filepath.Dir(ours[i])+"/")
	}
	replace := strings.NewReplacer(append(places, "STATE", state, "NAME", strings.Replace(target, "*.", "_wildcard.", 1))...)
	lines := r.lines(r.setup, runtime.GOOS)
	for i, line := range lines {
		lines[i] = replace.Replace(line)
	}
	return lines
}

// after returns the arguments behind each flag of a command.
func after(argv []string, flag string) []string {
	var list []string
	for i, arg := range argv {
		if arg == flag && i+1 < len(argv) {
			list = append(list, argv[i+1])
		}
	}
	return list
}

// isProgram reports whether argv runs the program called name.
func isProgram(argv []string, name string) bool {
	return len(argv) > 0 && filepath.Base(argv[0]) == name
}

// Servers that can be asked.
var (
	nginxEffective = effective{
		commands: func(check []string) [][]string {
			if !isProgram(check, "nginx") || !slices.Contains(check, "-t") {
				return [][]string{{"nginx", "-T"}}
			}
			dump := slices.Clone(check)
			dump[slices.Index(dump, "-t")] = "-T"
			return [][]string{dump}
		},
		// It does not print a configuration that names missing files, but says which is the first.
		path: `(?m)(?:^[ \t]*ssl_certificate[ \t]+|\[emerg\] cannot load certificate )("[^"]+"|'[^']+'|[^\s;]+)`,
	}
	haproxyEffective = effective{
		files: func(check []string, _ string) []string {
			var files []string
			for _, f := range after(check, "-f") {
				if inside, _ := filepath.Glob(filepath.Join(f, "*.cfg")); len(inside) > 0 {
					files = append(files, inside...)
				} else {
					files = append(files, f)
				}
			}
			return files
		},
		lists: `(?m)^[^#\n]*\bcrt-list[ \t]+("[^"]+"|\S+)`,
		path:  `\bcrt(?:-list)?[ \t]+("[^"]+"|\S+)`,
	}
	apacheEffective = effective{
		commands: func(check []string) [][]string {
			program := "apachectl"
			if len(check) == 2 && check[1] == "configtest" {
				program = check[0]
			}
			return [][]string{{program, "-t", "-D", "DUMP_INCLUDES"}}
		},
		files: func(_ []string, printed string) []string {
			return first(`(?m)^\s*\([0-9*]+\)\s+(/.*)$`, printed)
		},
		path: `(?mi)(?:^[ \t]*SSLCertificateFile[ \t]+|SSLCertificateFile: file )("[^"]+"|'[^']+'|\S+)`,
	}
	caddyEffective = effective{
		commands: func([]string) [][]string {
			return [][]string{{"caddy", "adapt", "--config", in("{etc}/caddy/Caddyfile", runtime.GOOS)}}
		},
		path: `"certificate":\s*("[^"]+")`,
	}
	postfixEffective = effective{
		commands: func([]string) [][]string {
			return [][]string{
				{"postconf", "-x", "smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file", "tls_server_sni_maps"},
				{"postconf", "-Px"},
			}
		},
		lists: `[ \t,=][a-z]+:(/[^\s,]+)`,
		path:  `[ \t,=](/[^\s,]+)`,
	}
	dovecotEffective = effective{
		commands: func([]string) [][]string { return [][]string{{"doveconf", "-n"}} },
		path:     `(?m)^\s*ssl_(?:alt_|server_)?cert(?:_file)?\s*=\s*<?\s*(\S+)`,
	}
)
