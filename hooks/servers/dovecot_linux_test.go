package servers

import "testing"

func TestDovecot(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, "dovecot", readUnit(t, "dovecot"), door{143, "imap", ""}, door{993, "tls", ""}, door{110, "pop3", ""}, door{4190, "sieve", ""})
	r.conf = "/etc/dovecot/local.conf"
	write(t, r.conf, "ssl = required\nlog_path = /dev/stderr\n"+r.setup(plain)+"local_name "+host+" {\n"+r.setup(host)+"}\n")
	r.tell(troubles{pair: notServed, weak: notServed, configuration: "Error in configuration file"})
}
