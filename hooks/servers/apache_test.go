package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestApache(t *testing.T) {
	t.Parallel()
	r := newRig(t, "apache")
	apache := program(t, "apache2", "apache2")
	r.doors = []door{{25443, "https"}}
	r.conf = filepath.Join(r.home, "apache.conf")
	host443 := func(name string) string {
		return fmt.Sprintf(`<VirtualHost %s:25443>
ServerName %s
SSLEngine on
SSLCertificateFile %s/fullchain.pem
SSLCertificateKeyFile %s/privkey.pem
</VirtualHost>
`, r.address, name, r.liveDir(name), r.liveDir(name))
	}
	write(t, r.conf, fmt.Sprintf(`ServerRoot %[1]s
ServerName %[3]s
PidFile %[1]s/pid
ErrorLog /dev/stderr
DefaultRuntimeDir %[1]s
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen %[2]s:25443
DocumentRoot %[1]s/store
`, r.home, r.address, plain)+host443(plain)+host443(host))
	r.begin()
	// Apache's own -k graceful starts it if it does not run; systemctl reload
	// does not, and neither does this.
	m := manage(t, r.home, "exec "+apache+" -DFOREGROUND -f "+r.conf)
	// apachectl configtest is apache2 -t.
	r.d.Check = []string{apache, "-t", "-f", r.conf}
	// systemctl reload: ExecReload=/usr/sbin/apachectl graceful
	r.d.Reload = m.reload(t, apache+" -f "+r.conf+" -k graceful")
	// systemctl restart
	r.d.Restart = m.restart(t)
	r.started(m.process)

	r.tell(troubles{otherKey: "the server was restarted for it", weak: "the server was restarted for it", configuration: "{{{"})
}
