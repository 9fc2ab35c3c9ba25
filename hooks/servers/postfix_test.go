package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestPostfix(t *testing.T) {
	t.Parallel()
	r := newRig(t, "postfix")
	program(t, "postfix", "postfix")
	r.doors = []door{{25025, "smtp"}, {25465, "tls"}}
	conf := mkdir(t, filepath.Join(r.home, "conf"), "", 0o755)
	spool := mkdir(t, filepath.Join(r.home, "spool"), "", 0o755)
	data := mkdir(t, filepath.Join(r.home, "data"), "postfix", 0o700)
	r.conf = filepath.Join(conf, "main.cf")
	write(t, r.conf, fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %s
data_directory = %s
inet_interfaces = 127.0.0.1
myhostname = %s
mydestination =
maillog_file = %s/maillog
maillog_file_prefixes = /tmp
smtpd_tls_security_level = may
smtpd_tls_chain_files = %s/combined.pem
tls_server_sni_maps = hash:%s/sni
`, spool, data, plain, r.home, r.liveDir(plain), conf))
	write(t, filepath.Join(conf, "master.cf"), fmt.Sprintf(`%[1]s:25025 inet n - n - - smtpd
%[1]s:25465 inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`, r.address))
	sni := filepath.Join(conf, "sni")
	write(t, sni, fmt.Sprintf("%s %s/combined.pem\n", host, r.liveDir(host)))
	if err := os.Chmod(sni, 0o600); err != nil {
		t.Fatal(err)
	}
	r.begin()
	environment := []string{"env", "MAIL_CONFIG=" + conf}
	p := start(t, r.home, "", []string{"sh", "-c", "postfix check && postmap -F hash:" + sni + " && exec /usr/lib/postfix/sbin/master -d"}, "MAIL_CONFIG="+conf)
	// The preset's own commands, which do without a service manager.
	r.d.Check = append(environment, r.d.Check...)
	r.d.Reload = append(environment, r.d.Reload...)
	r.started(p)

	r.tell(troubles{otherKey: "TLS not available", configuration: "missing '='"})
	if fi, err := os.Stat(sni + ".db"); err != nil || fi.Mode() != 0o600 {
		t.Errorf("the map that holds the keys: %v, %v, want mode 0600", fi, err)
	}
}
