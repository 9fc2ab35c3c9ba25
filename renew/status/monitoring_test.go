package status

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keypaird/renew/testutil"
)

// examples is where the alert rules and the dashboard are.
const examples = "../../examples/monitoring"

func example(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, file))
	must(t, err)
	return string(data)
}

// promtool runs it beside the examples.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), testutil.Program(t, "promtool"), args...)
	c.Dir = examples
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// exist fails for a metric of ours in text that a busy daemon does not have.
func exist(t *testing.T, where, text string) {
	t.Helper()
	known := families(scrape(t, busyMetrics()))
	used := regexp.MustCompile(`\bkeypaird_[a-z_]+\b`).FindAllString(text, -1)
	if len(used) == 0 {
		t.Errorf("%s uses no metric", where)
	}
	for _, name := range used {
		if !known[name] {
			t.Errorf("%s: there is no %s", where, name)
		}
	}
}

func TestAlertRules(t *testing.T) {
	promtool(t, "check", "rules", "keypaird.rules.yml")
	promtool(t, "check", "config", "prometheus.yml")
	promtool(t, "test", "rules", "keypaird.test.yml")
	rules, tests := example(t, "keypaird.rules.yml"), example(t, "keypaird.test.yml")
	exist(t, "keypaird.rules.yml", rules)
	exist(t, "keypaird.test.yml", tests)
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 10 {
		t.Errorf("%d alerts", len(alerts))
	}
	for _, a := range alerts { // each is seen to sound, and to be silent
		if !regexp.MustCompile(`alertname: ` + a[1] + `\n +exp_alerts:\n +- exp_labels:`).MatchString(tests) {
			t.Errorf("no test has %s sound", a[1])
		}
		if !strings.Contains(tests, "alertname: "+a[1]+", exp_alerts: []") {
			t.Errorf("no test has %s silent", a[1])
		}
	}
}

// A panel of a Grafana dashboard, as far as we look at it.
type panel struct {
	ID                       int
	Title, Type, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ Expr string }
}

func TestDashboard(t *testing.T) {
	text := example(t, "grafana-dashboard.json")
	var board struct {
		UID, Title string
		Panels     []panel
	}
	must(t, json.Unmarshal([]byte(text), &board))
	if board.UID != "keypaird" || len(board.Panels) < 10 {
		t.Errorf("uid %q, %d panels", board.UID, len(board.Panels))
	}
	exist(t, "grafana-dashboard.json", text)
	taken, rules := map[[2]int]string{}, "groups:\n- name: dashboard\n  rules:\n"
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: no title, no description, no question, or twice the number", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, lies := taken[at]; lies || at[0] >= 24 {
					t.Errorf("%q lies on %q, or outside", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$instance", ".*", "$__rate_interval", "5m").Replace(target.Expr)
			rules += fmt.Sprintf("  - record: panel_%d_%d\n    expr: %q\n", p.ID, len(rules), expr)
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml") // promtool reads the questions as Prometheus would
	must(t, os.WriteFile(file, []byte(rules), 0o600))
	promtool(t, "check", "rules", file)
}
