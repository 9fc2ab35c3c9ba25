package hooks

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestPresets(t *testing.T) {
	for _, tt := range []struct {
		name, goos           string
		paths                string
		owner, check, reload string
	}{
		{"relayd", "openbsd", "/etc/ssl/N.crt /etc/ssl/private/N.key", "root:wheel 0644 0600", "relayd -n", "rcctl reload relayd"},
		{"relayd", "freebsd", "/etc/ssl/N.crt /etc/ssl/private/N.key", "root:wheel 0644 0600", "relayd -n", "service relayd reload"},
		{"relayd", "linux", "/etc/ssl/N.crt /etc/ssl/private/N.key", "root:root 0644 0600", "relayd -n", "systemctl reload relayd"},
		{"nginx", "openbsd", "", ": 0000 0000", "nginx -t", "nginx -s reload"},
		{"nginx", "linux", "", ": 0000 0000", "nginx -t", "nginx -s reload"},
		{"nginx", "darwin", "", ": 0000 0000", "nginx -t", "nginx -s reload"},
		{"haproxy", "linux", "/etc/haproxy/certs/N.pem", "root:root 0000 0600", "haproxy -c -f /etc/haproxy/haproxy.cfg", "systemctl reload haproxy"},
		{"haproxy", "openbsd", "/etc/haproxy/certs/N.pem", "root:wheel 0000 0600", "haproxy -c -f /etc/haproxy/haproxy.cfg", "rcctl reload haproxy"},
		{"haproxy", "freebsd", "/etc/haproxy/certs/N.pem", "root:wheel 0000 0600", "haproxy -c -f /usr/local/etc/haproxy.conf", "service haproxy reload"},
		{"haproxy", "netbsd", "/etc/haproxy/certs/N.pem", "root:wheel 0000 0600", "haproxy -c -f /usr/pkg/etc/haproxy.cfg", "service haproxy reload"},
		{"haproxy", "darwin", "/etc/haproxy/certs/N.pem", "root:wheel 0000 0600", "haproxy -c -f /etc/haproxy/haproxy.cfg", ""},
	} {
		t.Run(tt.name+" on "+tt.goos, func(t *testing.T) {
			d, ok := preset(tt.name, tt.goos)
			if !ok || d.Name != tt.name {
				t.Fatalf("preset = %q, %v", d.Name, ok)
			}
			if got := strings.Join(d.Paths("N"), " "); got != tt.paths {
				t.Errorf("paths = %s, want %s", got, tt.paths)
			}
			if got := fmt.Sprintf("%s:%s %04o %04o", d.Owner, d.Group, d.ChainMode, d.KeyMode); got != tt.owner {
				t.Errorf("owner and modes = %s, want %s", got, tt.owner)
			}
			if got := strings.Join(d.Check, " "); got != tt.check {
				t.Errorf("check = %s, want %s", got, tt.check)
			}
			if got := strings.Join(d.Reload, " "); got != tt.reload {
				t.Errorf("reload = %s, want %s", got, tt.reload)
			}
		})
	}
}

func TestPresetNames(t *testing.T) {
	if !slices.IsSorted(Presets()) {
		t.Error("not in order")
	}
	for _, name := range Presets() {
		if _, ok := Preset(name); !ok {
			t.Errorf("no preset %q", name)
		}
	}
	if d, ok := Preset("apache"); ok || !reflect.DeepEqual(d, Deployment{}) {
		t.Errorf("Preset of none = %+v, %v", d, ok)
	}
	a, _ := Preset("relayd")
	a.Check[0] = "changed"
	if b, _ := Preset("relayd"); b.Check[0] == "changed" {
		t.Error("presets share what they hold")
	}
}

func TestPaths(t *testing.T) {
	d := Deployment{Chain: "/etc/ssl/{name}.crt", Key: "/etc/ssl//private/{name}.key", Combined: "/x/{name}/{name}.pem"}
	for name, want := range map[string]string{
		"example.org":   "/etc/ssl/example.org.crt /etc/ssl/private/example.org.key /x/example.org/example.org.pem",
		"*.example.org": "/etc/ssl/_wildcard.example.org.crt /etc/ssl/private/_wildcard.example.org.key /x/_wildcard.example.org/_wildcard.example.org.pem",
	} {
		if got := strings.Join(d.Paths(name), " "); got != want {
			t.Errorf("Paths(%q) = %s\nwant %s", name, got, want)
		}
	}
}
