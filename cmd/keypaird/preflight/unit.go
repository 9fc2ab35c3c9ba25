package preflight

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks"
	"keypaird/hooks/command"
	"keypaird/hooks/preset"
)

// A unit is what systemd says of the service that runs keypaird.
type unit map[string]string

// unitName is the service of the examples and packages.
const unitName = "keypaird.service"

// UnitQuestion is the command that prints what systemd knows of it.
var UnitQuestion = []string{"systemctl", "show", "-p", "LoadState,User,ProtectSystem,ReadWritePaths", unitName}

// unitLimit is how long systemctl may take.
const unitLimit = 5 * time.Second

// readUnit asks systemd for the service; nil: there is none, or no systemd.
func readUnit(ctx context.Context) unit {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, unitLimit)
	defer cancel()
	printed, _, err := command.Output(limited, UnitQuestion)
	if err != nil {
		return nil
	}
	u := unit{}
	for line := range strings.Lines(string(printed)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		u[key] = value
	}
	if u["LoadState"] != "loaded" {
		return nil
	}
	return u
}

// mayWrite reports whether the sandbox of the service lets it write below dir. Other
// settings of systemd can forbid it, too.
func (u unit) mayWrite(dir string) bool {
	var readOnly []string
	switch u["ProtectSystem"] {
	case "strict":
		readOnly = []string{"/"}
	case "full":
		readOnly = []string{"/usr", "/boot", "/efi", "/etc"}
	case "yes":
		readOnly = []string{"/usr", "/boot", "/efi"}
	}
	under := func(top string) bool { return inside(dir, strings.TrimLeft(top, "-+")) }
	return !slices.ContainsFunc(readOnly, under) || slices.ContainsFunc(strings.Fields(u["ReadWritePaths"]), under)
}

// inside reports whether path is top or below it.
func inside(path, top string) bool {
	rel, err := filepath.Rel(top, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// checkUnit warns if the service that runs keypaird cannot do what the deployments of
// targets need, though the user of this command may.
func checkUnit(ctx context.Context, cfg *config.Config) []Finding {
	u := readUnit(ctx)
	if u == nil {
		return nil
	}
	var found []Finding
	user := u["User"]
	root := user == "" || user == "root" || user == "0"
	seen := map[string]bool{}
	warn := func(deployment, detail, remedy string) {
		if !seen[deployment+detail] {
			seen[deployment+detail] = true
			found = append(found, Finding{Check: "deploy", Subject: deployment, Result: Warning, Detail: detail, Remedy: remedy})
		}
	}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			for _, path := range d.Paths(t.Name) {
				if dir := filepath.Dir(hooks.ThroughLink(path)); !u.mayWrite(dir) {
					warn(name, fmt.Sprintf("%s may not write to %s (ProtectSystem=%s)", unitName, dir, u["ProtectSystem"]),
						"systemctl edit "+unitName+", and below [Service]: ReadWritePaths="+dir)
				}
			}
			gives := len(d.Paths(t.Name)) > 0 && d.Owner != "" && d.Owner != user
			runs := preset.NeedsRoot(presetOf(cfg, name)) && !cfg.Deploy[name].Sets("reload")
			need := ""
			switch {
			case root:
			case gives:
				need = fmt.Sprintf("and only root can give files to %q", d.Owner)
			case runs:
				need = "and its check and reload need root"
			}
			if need != "" {
				warn(name, unitName+" runs as user "+user+", "+need,
					"install the drop-in root.conf of examples/systemd, or set owner, check and reload of [deploy."+name+"]")
			}
		}
	}
	return found
}
