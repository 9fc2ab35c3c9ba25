package imports

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What runs a client is found in timers and cron tables of this machine, and nowhere else.
func TestRunners(t *testing.T) {
	etc := t.TempDir()
	for name, text := range map[string]string{
		"etc/systemd/system/snap.certbot.renew.timer":                     "[Timer]\n",
		"etc/systemd/system/snap.certbot.renew.service":                   "[Service]\nExecStart=/usr/bin/snap run certbot.renew\n",
		"etc/systemd/system/timers.target.wants/snap.certbot.renew.timer": "",
		"lib/systemd/system/certbot.timer":                                "[Timer]\n",
		"lib/systemd/system/certbot.service":                              "[Service]\nExecStart=/usr/bin/certbot -q renew\n",
		"lib/systemd/system/backup.timer":                                 "[Timer]\n",
		"lib/systemd/system/backup.service":                               "[Service]\nExecStart=/usr/bin/backup /etc/certbots\n",
		"etc/cron.d/certbot":                                              "# certbot\n0 */12 * * * root certbot renew\n",
		"etc/cron.d/other":                                                "0 * * * * root mycertbot renew\n",
		"etc/cron.daily/renew":                                            "#!/bin/sh\nif true; then\n\tcertbot renew && reload\nfi\n",
		"var/spool/cron/crontabs/root":                                    "5 4 * * * TOKEN=secret /opt/certbot/bin/certbot renew\n",
	} {
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	open := filepath.Join(etc, "etc/cron.d/open")
	if err := os.WriteFile(open, []byte("0 0 * * * root certbot renew && /tmp/evil\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o666); err != nil { // whatever the umask
		t.Fatal(err)
	}
	var got strings.Builder
	for _, r := range Runners("certbot", etc) {
		fmt.Fprintln(&got, r.Kind, strings.TrimPrefix(r.Where, etc), r.Line, r.Disabled)
		if r.Disable == "" || r.Enable == "" || strings.Contains(r.Disable+r.Enable, "secret") {
			t.Errorf("%+v", r)
		}
	}
	const want = `timer snap.certbot.renew.timer 0 false
timer certbot.timer 0 true
cron /etc/cron.d/certbot 2 false
script /etc/cron.daily/renew 3 false
crontab /var/spool/cron/crontabs/root 1 false
`
	if got.String() != want {
		t.Errorf("found:\n%swant:\n%s", got.String(), want)
	}
	r := Runner{Kind: "cron", Where: filepath.Join(etc, "etc/cron.d/certbot"), Text: "0 */12 * * * root certbot renew"}
	if err := DisableRunner(context.Background(), &r); err != nil || !r.Disabled {
		t.Fatal(err)
	}
	data, err := os.ReadFile(r.Where)
	info, err2 := os.Stat(r.Where)
	if err != nil || err2 != nil || string(data) != "# certbot\n# keypaird import: 0 */12 * * * root certbot renew\n" || info.Mode() != 0o644 {
		t.Errorf("%q, %v", data, info.Mode())
	}
}
