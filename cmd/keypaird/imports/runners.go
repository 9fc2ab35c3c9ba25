package imports

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"keypaird/hooks/command"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// A Runner runs the other client from time to time.
type Runner struct {
	Kind    string `json:"kind"` // timer, cron, crontab or script
	Where   string `json:"where"`
	Line    int    `json:"line,omitempty"`
	Text    string `json:"-"`       // of the line, which may hold a secret
	Disable string `json:"disable"` // how to, for an operator
	Enable  string `json:"enable"`  // how to go back

	Disabled bool `json:"disabled"`
}

// clientWords are the programs by which a client is run.
var clientWords = map[string][]string{
	"certbot": {"certbot"}, "acme.sh": {"acme.sh"}, "lego": {"lego"}, "dehydrated": {"dehydrated"},
	"acme-client": {"acme-client"}, "uacme": {"uacme"}, "acmetool": {"acmetool"},
}

// Runners finds what runs a client: timers of systemd, and cron. etc is / but
// in tests.
func Runners(client, etc string) []Runner {
	programs := clientWords[client]
	if len(programs) == 0 {
		return nil
	}
	quoted := make([]string, len(programs))
	for i, p := range programs {
		quoted[i] = regexp.QuoteMeta(p)
	}
	runs := regexp.MustCompile(`(^|[\s/"'=;&|(])(` + strings.Join(quoted, "|") + `)(\.renew)?($|[\s"';&|)])`) // certbot.renew is the snap's
	return append(timers(etc, runs), crons(etc, runs)...)
}

// timers finds timers with a service that runs the client.
func timers(etc string, runs *regexp.Regexp) []Runner {
	var list []Runner
	for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		found, _ := filepath.Glob(filepath.Join(etc, dir, "*.timer"))
		for _, path := range found {
			unit := filepath.Base(path)
			service := strings.TrimSuffix(unit, ".timer") + ".service"
			known := slices.ContainsFunc(list, func(r Runner) bool { return r.Where == unit })
			all := lines(filepath.Join(etc, dir, service))
			exec := slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, "ExecStart") && runs.MatchString(l) })
			if known || exec < 0 {
				continue
			}
			wants, _ := filepath.Glob(filepath.Join(etc, "/etc/systemd/system/*.wants", unit))
			list = append(list, Runner{
				Kind: "timer", Where: unit, Text: all[exec], Disabled: len(wants) == 0,
				Disable: "systemctl disable --now " + unit, Enable: "systemctl enable --now " + unit,
			})
		}
	}
	return list
}

// crons finds lines of cron tables that run the client.
func crons(etc string, runs *regexp.Regexp) []Runner {
	var list []Runner
	for _, pattern := range []string{
		"/etc/crontab", "/etc/cron.d/*", "/etc/daily.local", "/etc/weekly.local", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.hourly/*",
		"/var/spool/cron/crontabs/root", "/var/spool/cron/root", "/var/cron/tabs/root",
	} {
		files, _ := filepath.Glob(filepath.Join(etc, pattern))
		for _, path := range files {
			for i, text := range lines(path) {
				if bare := strings.TrimSpace(text); bare == "" || bare[0] == '#' || !runs.MatchString(text) {
					continue
				}
				r := Runner{
					Kind: "cron", Where: path, Line: i + 1, Text: strings.TrimSpace(text),
					Disable: fmt.Sprintf("put a # before line %d of %s", i+1, path), Enable: fmt.Sprintf("remove the # before line %d of %s", i+1, path),
				}
				switch {
				case strings.Contains(pattern, "/root"):
					r.Kind, r.Disable, r.Enable = "crontab", fmt.Sprintf("crontab -e, and put a # before line %d", i+1), fmt.Sprintf("crontab -e, and remove the # before line %d", i+1)
				case pattern != "/etc/crontab" && pattern != "/etc/cron.d/*":
					r.Kind, r.Disable = "script", fmt.Sprintf("by hand: leave out line %d of %s", i+1, path)
				}
				list = append(list, r)
			}
		}
	}
	return list
}

// lines returns the lines of a file that other users cannot change; none if it cannot be
// read, or if they can.
func lines(path string) []string {
	at, err := durable.CheckFile(path)
	if err != nil {
		return nil
	}
	data, info, err := durable.ReadFile(at, 1<<20, durable.NoLink)
	if err != nil || info.Mode()&0o022 != 0 {
		return nil
	}
	if _, ours := durable.Owner(info); !ours {
		return nil
	}
	var list []string
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		list = append(list, s.Text())
	}
	return list
}

// DisableRunner keeps r from running the client any more. Scripts are left to the
// operator: they may do more.
func DisableRunner(ctx context.Context, r *Runner) error {
	if r.Disabled || r.Kind == "script" {
		return nil
	}
	var err error
	switch r.Kind {
	case "timer":
		argv := []string{"disable", "--now", r.Where}
		if missing("/run/systemd/system") { // systemd is installed, but does not run
			argv = []string{"disable", r.Where}
		}
		err = run(ctx, nil, "systemctl", argv...)
	case "crontab":
		err = editCrontab(ctx, r.Text)
	default:
		err = commentOut(r.Where, r.Text)
	}
	if err != nil {
		return problem.Wrap(fmt.Errorf("disabling %s: %w", r.Where, err), r.Disable)
	}
	r.Disabled = true
	return nil
}

// mark comes before a line that was disabled.
const mark = "# keypaird import: "

// commentOut puts a mark before the lines of a file that are text.
func commentOut(path, text string) error {
	real, err := durable.CheckFile(path)
	if err != nil {
		return err
	}
	data, info, err := durable.ReadFile(real, 1<<20, durable.NoLink)
	if err != nil {
		return err
	}
	uid, ours := durable.Owner(info)
	if !ours {
		return errors.New("belongs to another user")
	}
	return durable.WriteFile(real, []byte(disabled(string(data), text)), durable.FileMode{Perm: info.Mode() & (fs.ModePerm), UID: uid, GID: -1})
}

// disabled returns data with a mark before the lines that are text.
func disabled(data, text string) string {
	all := strings.SplitAfter(data, "\n")
	for i, line := range all {
		if strings.TrimSpace(line) == text {
			all[i] = mark + line
		}
	}
	return strings.Join(all, "")
}

// editCrontab disables a line of this user's crontab.
func editCrontab(ctx context.Context, text string) error {
	var table bytes.Buffer
	if err := run(ctx, func(c *exec.Cmd) { c.Stdout = &table }, "crontab", "-l"); err != nil {
		return err
	}
	edited := disabled(table.String(), text)
	return run(ctx, func(c *exec.Cmd) { c.Stdin = strings.NewReader(edited) }, "crontab", "-")
}

// run runs a program of this system.
func run(ctx context.Context, with func(*exec.Cmd), name string, args ...string) error {
	path, err := command.Find(name)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, path, args...)
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=" + os.Getenv("HOME")}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if with != nil {
		with(c)
	}
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w: %.200s", name, err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
