package servers

import (
	"strings"
	"testing"
	"time"
)

func TestEjabberd(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newEjabberd(t)
	files := r.setup(plain) + strings.TrimPrefix(r.setup(host), "certfiles:\n")
	replace(t, r.conf, "certfiles:\n  - \"/etc/ejabberd/ejabberd.pem\"\n", files)
	r.tell(troubles{pair: notServed, configuration: "journalctl"})
}

// The second half of the story, at the same time: to tell ejabberd anything
// takes another Erlang machine. Here it takes all files of its directory.
func TestEjabberdAndFiles(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newEjabberd(t)
	replace(t, r.conf, "  - \"/etc/ejabberd/ejabberd.pem\"\n", "  - \"/etc/ejabberd/*.pem\"\n")
	r.begin()
	r.trouble(troubles{owner: notServed, weak: notServed})
	r.beside()
}

func newEjabberd(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, "ejabberd", readUnit(t, "ejabberd"),
		door{5222, "xmpp-client", ""}, door{5269, "xmpp-server", ""}, door{5223, "tls", ""}, door{5443, "https", ""})
	r.conf, r.haste = "/etc/ejabberd/ejabberd.yml", 15*time.Second // a reload starts an Erlang machine
	replace(t, r.conf, "hosts:\n  - localhost\n", "hosts:\n  - "+plain+"\n  - "+host+"\n")
	return r
}
