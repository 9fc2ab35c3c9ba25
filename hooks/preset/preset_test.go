package preset

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"keypaird/hooks"
	"keypaird/hooks/command"

	"keypaird/renew/testutil"
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
		{"httpd", "openbsd", "/etc/ssl/N.crt /etc/ssl/private/N.key", "root:wheel 0644 0600", "httpd -n", "rcctl reload httpd"},
		{"apache", "linux", "", ": 0000 0000", "apachectl configtest", "systemctl reload apache2"},
		{"apache", "openbsd", "", ": 0000 0000", "apachectl2 configtest", "apachectl2 graceful"},
		{"apache", "freebsd", "", ": 0000 0000", "apachectl configtest", "service apache24 reload"},
		{"lighttpd", "linux", "/etc/ssl/lighttpd/N.crt /etc/ssl/lighttpd/N.key", "root:www-data 0644 0640", "lighttpd -tt -f /etc/lighttpd/lighttpd.conf", "systemctl reload lighttpd"},
		{"lighttpd", "freebsd", "/etc/ssl/lighttpd/N.crt /etc/ssl/lighttpd/N.key", "root:www 0644 0640", "lighttpd -tt -f /usr/local/etc/lighttpd/lighttpd.conf", "service lighttpd restart"},
		{"hitch", "linux", "/etc/ssl/hitch/N.pem", "root:root 0000 0600", "hitch --test --config /etc/hitch/hitch.conf", "systemctl reload hitch"},
		{"caddy", "linux", "/etc/caddy/N.crt /etc/caddy/N.key", "root:caddy 0644 0640", "", "systemctl reload caddy"},
		{"caddy", "freebsd", "/usr/local/etc/caddy/N.crt /usr/local/etc/caddy/N.key", "root:www 0644 0640", "", "caddy reload --config /usr/local/etc/caddy/Caddyfile --force"},
		{"prosody", "linux", "/etc/prosody/certs/N.crt /etc/prosody/certs/N.key", "root:prosody 0644 0640", "", "systemctl reload prosody"},
		{"prosody", "openbsd", "/etc/prosody/certs/N.crt /etc/prosody/certs/N.key", "root:_prosody 0644 0640", "", "rcctl reload prosody"},
		{"prosody", "netbsd", "/usr/pkg/etc/prosody/certs/N.crt /usr/pkg/etc/prosody/certs/N.key", "root:prosody 0644 0640", "", "service prosody reload"},
		{"ejabberd", "linux", "/etc/ejabberd/N.pem", "root:ejabberd 0000 0640", "", "systemctl reload ejabberd"},
		{"ejabberd", "freebsd", "/usr/local/etc/ejabberd/N.pem", "root:ejabberd 0000 0640", "", "ejabberdctl reload_config"},
		{"synapse", "linux", "/etc/ssl/synapse/N.crt /etc/ssl/synapse/N.key", "root:matrix-synapse 0644 0640", "", "systemctl reload matrix-synapse"},
		{"dendrite", "openbsd", "/etc/ssl/dendrite/N.crt /etc/ssl/dendrite/N.key", "root:_dendrite 0644 0640", "", "rcctl restart dendrite"},
		{"tuwunel", "linux", "/etc/ssl/tuwunel/N.crt /etc/ssl/tuwunel/N.key", "root:tuwunel 0644 0640", "", "systemctl restart tuwunel"},
		{"exim", "linux", "/etc/ssl/exim/N.crt /etc/ssl/exim/N.key", "root:Debian-exim 0644 0640", "", "systemctl reload exim4"},
		{"exim", "openbsd", "/etc/ssl/exim/N.crt /etc/ssl/exim/N.key", "root:_exim 0644 0640", "", "rcctl reload exim"},
		{"opensmtpd", "linux", "/etc/ssl/opensmtpd/N.crt /etc/ssl/opensmtpd/N.key", "root:root 0644 0600", "smtpd -n", "systemctl restart opensmtpd"},
		{"opensmtpd", "openbsd", "/etc/ssl/opensmtpd/N.crt /etc/ssl/opensmtpd/N.key", "root:wheel 0644 0600", "smtpd -n", "rcctl restart smtpd"},
		{"dovecot", "linux", "", ": 0000 0000", "doveconf -h base_dir", "doveadm reload"},
		{"coturn", "linux", "/etc/ssl/coturn/N.crt /etc/ssl/coturn/N.key", "root:turnserver 0644 0640", "", "systemctl kill -s USR2 coturn"},
		{"coturn", "openbsd", "/etc/ssl/coturn/N.crt /etc/ssl/coturn/N.key", "root:_turnserver 0644 0640", "", "pkill -USR2 -x turnserver"},
		{"mumble", "linux", "/etc/ssl/mumble/N.crt /etc/ssl/mumble/N.key", "root:mumble-server 0644 0640", "", "systemctl kill -s USR1 mumble-server"},
		{"mumble", "freebsd", "/etc/ssl/mumble/N.crt /etc/ssl/mumble/N.key", "root:murmur 0644 0640", "", "service murmur reload"},
	} {
		t.Run(tt.name+" on "+tt.goos, func(t *testing.T) {
			d, ok := lookup(tt.name, tt.goos)
			if !ok || d.Name != tt.name {
				t.Fatalf("lookup = %q, %v", d.Name, ok)
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

func TestLookup(t *testing.T) {
	names := Names()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("Names = %s: not sorted, or one twice", names)
	}
	for _, name := range names {
		if d, ok := Lookup(name); !ok || d.Name != name {
			t.Errorf("Lookup(%q) = %q, %v", name, d.Name, ok)
		}
	}
	if d, ok := Lookup("thttpd"); ok || !reflect.DeepEqual(d, hooks.Deployment{}) {
		t.Errorf("Lookup of none = %+v, %v", d, ok)
	}
	a, _ := Lookup("relayd")
	a.Check[0] = "changed"
	if b, _ := Lookup("relayd"); b.Check[0] == "changed" {
		t.Error("presets share what they hold")
	}
	Servers()[0].Notes[0] = "changed"
	if Servers()[0].Notes[0] == "changed" {
		t.Error("servers share what they hold")
	}
}

// What is said of every server, on every system, has to be whole.
func TestServers(t *testing.T) {
	for _, goos := range []string{"linux", "openbsd", "freebsd", "netbsd", "darwin"} {
		for _, s := range servers(goos) {
			said := strings.Join(append(slices.Clone(s.Setup), s.Notes...), "\n")
			problem := func(what string) { t.Errorf("%s on %s: %s", s.Name, goos, what) }
			if all := fmt.Sprint(s); strings.Contains(all, "{etc}") || strings.Contains(all, "%!") {
				problem("something is not filled in: " + all)
			}
			if len(s.Setup) == 0 || len(s.Notes) == 0 {
				problem("is not said how to set it up")
			}
			if len(s.Deployment.Reload) == 0 && goos != "darwin" {
				problem("has no reload")
			}
			if s.Deployment.Single != strings.Contains(said, "one_certificate") {
				problem("one_certificate is said of those that need it, and of no others")
			}
			if (s.Deployment.Scans > 0) != strings.Contains(said, "instead") && (s.Deployment.Scans > 0) != strings.Contains(said, "any may be served") {
				problem("is not said what old files do")
			}
			if (len(s.Deployment.Outputs()) > 0) != (s.Deployment.Owner != "") || (len(s.Deployment.Outputs()) > 0) == strings.Contains(said, "nothing is written") {
				problem("is not said whether files are written")
			}
			for i, path := range s.Deployment.Paths("example.org") {
				if !filepath.IsAbs(path) || slices.Contains(s.Deployment.Paths("example.org")[:i], path) {
					problem("path is not absolute, or used twice: " + path)
				}
			}
			for _, w := range s.Deployment.Warnings("example.org") {
				problem(w)
			}
			for _, n := range s.Notes {
				if !strings.HasSuffix(n, ".") && !strings.HasSuffix(n, "].") {
					problem("a note is no sentence: " + n)
				}
			}
		}
	}
}

func TestServerFiles(t *testing.T) {
	for _, s := range servers("linux") {
		want, ok := map[string]string{
			"relayd":   "key /etc/ssl/private/{name}.key root:root 0600; chain /etc/ssl/{name}.crt root:root 0644",
			"ejabberd": "combined /etc/ejabberd/{name}.pem root:ejabberd 0640",
			"nginx":    "",
		}[s.Name]
		if got := strings.Join(s.Files(), "; "); ok && got != want {
			t.Errorf("files of %s = %s, want %s", s.Name, got, want)
		}
	}
}

// The reload of Postfix makes the maps for SNI anew that are files, and those
// only.
func TestReloadOfPostfix(t *testing.T) {
	for _, tt := range []struct {
		name, maps string
		ran, err   string
	}{
		{"no maps", "", "postfix reload", ""},
		{"one", "hash:/etc/postfix/sni", "postmap -F hash:/etc/postfix/sni, postfix reload", ""},
		{"several, with commas", "lmdb:/a, cdb:/b", "postmap -F lmdb:/a, postmap -F cdb:/b, postfix reload", ""},
		{"not a file", "inline:{x=/y} texthash:/a", "postfix reload", ""},
		{"cannot be made", "hash:/fails", "postmap -F hash:/fails", "exit status 1: no such file"},
		{"postfix is silent", "btree:/silent", "postmap -F btree:/silent, postfix reload", "exit status 1: postfix reload: see the mail log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := testutil.SafeDir(t)
			testutil.WriteScript(t, dir+"/postconf", "[ \"$*\" = '-hx tls_server_sni_maps' ] && echo '"+tt.maps+"'")
			testutil.WriteScript(t, dir+"/postmap", "echo postmap $* >>"+dir+"/ran; [ \"$2\" != hash:/fails ] || { echo no such file; exit 1; }")
			testutil.WriteScript(t, dir+"/postfix", "echo postfix $* >>"+dir+"/ran; ! grep -q silent "+dir+"/ran")
			d, _ := lookup("postfix", "linux")
			argv := append([]string{"env", "PATH=" + dir + ":" + command.Path}, d.Reload...)
			err := (&command.Command{Argv: argv}).Run(t.Context(), command.Event{})
			if (err == nil) != (tt.err == "") || err != nil && !strings.HasSuffix(err.Error(), tt.err) {
				t.Errorf("reload = %v, want %q", err, tt.err)
			}
			ran, err := os.ReadFile(dir + "/ran")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.TrimSpace(string(ran)), "\n", ", "); got != tt.ran {
				t.Errorf("ran %q, want %q", got, tt.ran)
			}
		})
	}
}
