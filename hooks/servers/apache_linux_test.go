package servers

import (
	"testing"
	"time"
)

func TestApache(t *testing.T) {
	if !alone(t) {
		return
	}
	u := readUnit(t, "apache2")
	u.mainPID = "/run/apache2/apache2.pid"
	r := newRig(t, "apache", u, door{443, "https", ""})
	must(t, "a2enmod", "-q", "ssl")
	must(t, "a2dissite", "-q", "000-default")
	write(t, "/etc/apache2/ports.conf", "Listen 443\n") // port 80 is keypaird's here
	r.haste = 12 * time.Second                          // it may have to start again in that
	r.conf = "/etc/apache2/sites-enabled/example.conf"
	sites := ""
	for _, target := range r.targets {
		sites += "<VirtualHost *:443>\nServerName " + target.name + "\nSSLEngine on\n" + r.setup(target.name) + "</VirtualHost>\n"
	}
	write(t, r.conf, sites)
	r.tell(troubles{pair: "the server was restarted for it", weak: "the server was restarted for it", configuration: "{{{"})
}
