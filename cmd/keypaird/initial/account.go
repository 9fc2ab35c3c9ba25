package initial

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/hooks"
)

// account says how the DNS account gets its rights and its secrets.
func (w *draft) account(s *steps) {
	if len(w.dnsNames()) == 0 {
		return
	}
	if w.provider.Code == persist {
		s.step("Publish the record that validates %s: keypaird check -live shows it.", words(w.dnsNames()))
		return
	}
	rights, lines := w.rights()
	switch {
	case w.provider.Code == "rfc2136":
		w.tsig(s, lines)
		return
	case rights != "":
		s.step("%s: the account needs no more than %s.", w.provider.Name, rights)
		if len(lines) > 0 {
			s.lines(lines...)
		}
	default:
		s.step("%s: give the account no more rights than to change TXT records of %s, if it knows such rights.", w.provider.Name, words(challengeNames(w.dnsNames())))
	}
	for _, v := range w.missing {
		s.text("Put its %s into a file, then Enter and Ctrl-D:", strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(v.name, "_FILE"), "_", " ")))
		if w.made[v.value] {
			s.commands("cat >" + word(v.value))
		} else {
			s.commands(append([]string{"(umask 077; cat >" + word(v.value) + ")"}, w.protect(v.value)...)...)
		}
	}
}

// secrets returns the variables that name files which do not exist.
func (w *draft) secrets() (list []variable) {
	for _, v := range w.env {
		if _, err := os.Stat(v.value); strings.HasSuffix(v.name, "_FILE") && errors.Is(err, fs.ErrNotExist) {
			list = append(list, v)
		}
	}
	return list
}

// protect returns the command that lets the service read a file with a secret.
func (w *draft) protect(path string) []string {
	if w.group < 0 {
		return nil
	}
	return []string{"chgrp keypaird " + word(path) + " && chmod 0640 " + word(path)}
}

// tsig says how a name server gets to know the key that signs updates, and what the key
// may change.
func (w *draft) tsig(s *steps, rights []string) {
	path := ""
	if i := slices.IndexFunc(w.missing, isTSIG); i >= 0 {
		path = w.missing[i].value
	}
	switch {
	case path == "" || w.made[path]:
	case w.group < 0:
		s.step("Make a key for updates of the zone:")
		s.commands("(umask 077; tsig-keygen keypaird >" + word(path) + ")")
	default: // the service reads it
		s.step("Make a key for updates of the zone:")
		s.commands("(umask 027; tsig-keygen keypaird >" + word(path) + " && chgrp keypaird " + word(path) + ")")
	}
	if w.nameServer() == "knotd" {
		s.step("In knot.conf, with algorithm and secret of the key in %s, and acl: keypaird in the zone:", cmp.Or(path, "the file of the account"))
		s.lines(knotLines(w.dnsNames())...)
		return
	}
	lines := []string{"zone \"" + w.domain + "\" {", "\t..."}
	for _, line := range rights {
		lines = append(lines, "\t"+line)
	}
	lines = append(lines, "};")
	copied, shown, _ := bindCopy()
	switch {
	case path != "":
		lines = append([]string{fmt.Sprintf("include %q;", w.bindKey(s, path))}, lines...)
	case w.nameServer() == "named" && exists(copied):
		lines = append([]string{fmt.Sprintf("include %q;    // unless it is there", shown)}, lines...)
	}
	s.step("In named.conf, where the zone of %s is. If it has an update-policy, add the grants to that:", w.domain)
	s.lines(lines...)
}

func isTSIG(v variable) bool { return strings.HasSuffix(v.name, "_TSIG_FILE") }

// knotLines let a key change TXT records at the challenge names alone.
func knotLines(names []string) []string {
	var owners []string
	for _, n := range challengeNames(names) {
		owners = append(owners, n+".")
	}
	return []string{
		"key:", "  - id: keypaird", "    algorithm: hmac-sha256", "    secret: ...",
		"acl:", "  - id: keypaird", "    key: keypaird", "    action: update", "    update-type: TXT",
		"    update-owner: name", "    update-owner-match: equal", "    update-owner-name: [" + strings.Join(owners, ", ") + "]",
	}
}

// nameServer returns the name server of this machine, if it is the one that updates go to.
func (w *draft) nameServer() string {
	for _, v := range w.env {
		host, _, err := net.SplitHostPort(v.value)
		if err != nil {
			host = v.value
		}
		if ip := net.ParseIP(host); v.name == "RFC2136_NAMESERVER" && ip != nil && !isOurs(ip) {
			return ""
		}
	}
	return w.machine.nameserv
}

// isOurs reports whether an address is one of this machine.
func isOurs(ip net.IP) bool {
	addrs, err := net.InterfaceAddrs()
	return err != nil || ip.IsLoopback() || slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// bindKey returns what BIND includes to know the key in path, and says how it gets that.
func (w *draft) bindKey(s *steps, path string) string {
	if w.nameServer() != "named" {
		s.step("The name server has to know the key in %s, too. BIND reads a copy, which is FILE below.", path)
		return "FILE"
	}
	copied, shown, group := bindCopy()
	if !w.made[copied] {
		s.step("BIND may not look into the directory of %s, and gets a copy:", path)
		s.commands(fmt.Sprintf("install -o 0 -g %s -m 0640 %s %s", cmp.Or(group, "0"), word(path), copied))
	}
	return shown
}

// bindCopy returns where BIND reads a copy of its own of a key, what named.conf calls that
// file, and the group of BIND, if it has one: the directory of keypaird is closed to it,
// and so are all but its own to one that AppArmor confines.
func bindCopy() (path, shown, group string) {
	dir := "/etc"
	for _, d := range []string{"/etc/bind", "/usr/local/etc/namedb", "/var/named/etc", "/etc/named"} {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			dir = d
			break
		}
	}
	for _, g := range []string{"bind", "named", "_bind"} {
		if _, err := hooks.LookupGroup(g); err == nil {
			group = g
			break
		}
	}
	path = filepath.Join(dir, "keypaird.key")
	return path, strings.TrimPrefix(path, "/var/named"), group // OpenBSD's runs in that directory
}
