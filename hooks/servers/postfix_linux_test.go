package servers

import (
	"os"
	"testing"
)

func TestPostfix(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, "postfix", readUnit(t, "postfix@"), door{25, "smtp", ""}, door{465, "tls", ""})
	extend(t, "/etc/postfix/main.cf", r.setup(plain)+"maillog_file = /var/log/postfix.log\n")
	must(t, "postconf", "-M", "submissions/inet=submissions inet n - y - - smtpd")
	must(t, "postconf", "-P", "submissions/inet/smtpd_tls_wrappermode=yes")
	const sni = "/etc/postfix/sni"
	write(t, sni, host+" "+state+"/certs/"+host+"/live/combined.pem\n")
	if err := os.Chmod(sni, 0o600); err != nil {
		t.Fatal(err)
	}
	// Of master.cf, since with a broken main.cf no new smtpd starts, and Postfix
	// waits for a minute until it tries again.
	r.conf = "/etc/postfix/master.cf"
	r.tell(troubles{pair: notServed, configuration: "bad field count"})
	if fi, err := os.Stat(sni + ".db"); err != nil || fi.Mode() != 0o600 {
		t.Errorf("the map that holds the keys: %v, %v, want mode 0600", fi, err)
	}
}
