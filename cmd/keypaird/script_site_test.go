package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const siteConf = `daemon off;
worker_processes 1;
%[2]s
pid %[1]s/pid;
error_log %[1]s/log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/.a; proxy_temp_path %[1]s/.b; fastcgi_temp_path %[1]s/.c;
	uwsgi_temp_path %[1]s/.d; scgi_temp_path %[1]s/.e;
	default_type application/json;
	add_header Access-Control-Allow-Origin *;
%[3]s}
`

const siteServer = `	server {
		listen %[2]s ssl;
		server_name %[3]s;
		ssl_certificate %[1]s/%[3]s.crt;
		ssl_certificate_key %[1]s/%[3]s.key;
		root %[4]s;
	}
`

// site starts a web server for some hosts at one address, each with a
// certificate of its own that keypaird is made to trust.
func (s *story) site(_ bool, args []string) {
	if len(args) != 3 || !s.own {
		s.Fatalf("usage: need own, and then: site ADDRESS[:PORT] HOST[,HOST...] DIR")
	}
	if err := lacking("nginx"); err != nil {
		s.Fatalf("%v: on Debian make servers installs it", err)
	}
	addr, dir := args[0], s.file("site-"+args[0])
	if !strings.Contains(addr, ":") {
		addr += ":443"
	}
	s.Check(os.Mkdir(dir, 0o755))
	servers, user := "", ""
	for host := range strings.SplitSeq(args[1], ",") {
		s.Check(selfSigned(dir, host))
		s.trustSite(filepath.Join(dir, host+".crt"))
		servers += fmt.Sprintf(siteServer, dir, addr, host, s.MkAbs(args[2]))
	}
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	conf := filepath.Join(dir, "conf")
	s.Check(os.WriteFile(conf, fmt.Appendf(nil, siteConf, dir, user, servers), 0o644))
	s.Check(s.world.daemon("nginx", "-c", conf, "-e", filepath.Join(dir, "log")))
	s.eventually("the site at "+addr, func() error { return dial(addr) })
}

// trustSite adds a certificate to those that keypaird trusts in place of the
// system's.
func (s *story) trustSite(file string) {
	all := s.file("trusted.pem")
	text, err := os.ReadFile(all)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatalf("%v", err)
	}
	more, err := os.ReadFile(file)
	s.Check(err)
	s.Check(os.WriteFile(all, append(text, more...), 0o644))
	s.Setenv("SSL_CERT_FILE", all)
	s.Setenv("SSL_CERT_DIR", s.file("no-directory"))
}
