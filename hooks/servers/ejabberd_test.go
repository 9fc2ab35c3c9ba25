package servers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestEjabberd(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ejabberd")
	startEjabberd(r)
	r.tell(troubles{otherKey: "<failure", configuration: "Syntax error"})
}

// The second half of the story, at the same time: to tell ejabberd anything
// takes another Erlang machine.
func TestEjabberdAndFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ejabberd")
	startEjabberd(r)
	r.trouble(troubles{unreadable: "<failure", weak: "<failure"})
	r.beside()
}

func startEjabberd(r *rig) {
	t := r.t
	t.Helper()
	ctl := program(t, "ejabberdctl", "ejabberd")
	setpriv := program(t, "setpriv", "util-linux")
	data := mkdir(t, filepath.Join(r.home, "data"), "ejabberd", 0o750)
	r.doors = []door{{25222, "xmpp-client"}, {25269, "xmpp-server"}, {25223, "tls"}, {25443, "https"}}
	r.conf = filepath.Join(r.home, "ejabberd.yml")
	write(t, r.conf, fmt.Sprintf(`hosts: [%[1]s, %[2]s]
certfiles:
  - %[3]q
listen:
  - { port: 25222, ip: %[4]q, module: ejabberd_c2s, starttls: true }
  - { port: 25223, ip: %[4]q, module: ejabberd_c2s, tls: true }
  - { port: 25269, ip: %[4]q, module: ejabberd_s2s_in }
  - { port: 25443, ip: %[4]q, module: ejabberd_http, tls: true, request_handlers: { /x: mod_http_api } }
s2s_use_starttls: optional
loglevel: info
modules: {}
`, plain, host, filepath.Join(filepath.Dir(r.d.Combined), "*.pem"), r.address))
	// Without epmd, whose process would stay, and as light as it can be.
	write(t, filepath.Join(r.home, "ejabberdctl.cfg"), fmt.Sprintf(`ERLANG_NODE=ejabberd@%s
ERL_DIST_PORT=25210
ERL_OPTIONS="-kernel inet_dist_use_interface {%s} +S 1:1 +A 1 +sbwt none"
`, r.address, strings.ReplaceAll(r.address, ".", ",")))
	write(t, filepath.Join(r.home, "inetrc"), "{lookup,[file,native]}.\n")
	args := []string{ctl, "--config-dir", r.home, "--spool", data, "--logs", data}
	r.begin()
	p := start(t, r.home, "ejabberd", append(args, "foreground"), "HOME="+data)
	// systemctl reload: ExecReload=/bin/sh -c '/usr/sbin/ejabberdctl reload_config', as User=ejabberd
	r.d.Reload = append([]string{setpriv, "--reuid=ejabberd", "--regid=ejabberd", "--clear-groups", "env", "HOME=" + data}, append(args, "reload_config")...)
	r.started(p)
}
