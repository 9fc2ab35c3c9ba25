package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestDovecot(t *testing.T) {
	t.Parallel()
	r := newRig(t, "dovecot")
	dovecot := program(t, "dovecot", "dovecot-core")
	program(t, "doveadm", "dovecot-core")
	r.doors = []door{{25143, "imap"}, {25993, "tls"}, {25110, "pop3"}, {25419, "sieve"}}
	r.conf = filepath.Join(r.home, "dovecot.conf")
	write(t, r.conf, fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols = imap pop3 sieve
listen = %[2]s
ssl = required
disable_plaintext_auth = yes
ssl_cert = <%[3]s/fullchain.pem
ssl_key = <%[3]s/privkey.pem
local_name %[5]s {
  ssl_cert = <%[4]s/fullchain.pem
  ssl_key = <%[4]s/privkey.pem
}
service imap-login {
  inet_listener imap {
    port = 25143
  }
  inet_listener imaps {
    port = 25993
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = 25110
  }
  inet_listener pop3s {
    port = 0
  }
}
service managesieve-login {
  inet_listener sieve {
    port = 25419
  }
}
passdb {
  driver = static
  args = password=x
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
`, r.home, r.address, r.liveDir(plain), r.liveDir(host), host))
	r.begin()
	p := start(t, r.home, "", []string{dovecot, "-F", "-c", r.conf})
	r.d.Check = append(r.d.Check, "-c", r.conf)
	// systemctl reload: ExecReload=/usr/bin/doveadm reload
	r.d.Reload = []string{"doveadm", "-c", r.conf, "reload"}
	r.started(p)

	r.tell(troubles{otherKey: "injects", weak: "injects", configuration: "Error in configuration file"})
}
