package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// placeholder marks what a proxy serves before keypaird has been there. It is
// in the file of the certificate, not in the certificate.
const placeholder = "# a placeholder"

// proxy is startProxy, for the two names unless others are given.
func (s *story) proxy(_ bool, args []string) {
	if len(args) == 0 {
		args = []string{"matrix.example.org", "example.org"}
	}
	s.Check(s.startProxy(args))
	s.publish()
}

// startProxy starts nginx, or where there is none a double of it, at $PROXY,
// with a server for each name. It reads tls/NAME.crt and tls/NAME.key, which are
// placeholders that sign themselves if they are not there. $CHECK, $RELOAD and
// $DEPLOY are for the configuration of keypaird, $PROXY_PID is a file.
func (w *world) startProxy(names []string) error {
	if err := os.MkdirAll(w.file("tls"), 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := os.Stat(w.file("tls", name+".crt")); errors.Is(err, os.ErrNotExist) {
			err = selfSigned(w.file("tls"), name)
			if err != nil {
				return err
			}
		}
	}
	start := w.startFront
	if lacking("nginx") == nil || testutil.Required() {
		start = w.startNginx
	}
	if err := start(names); err != nil {
		return err
	}
	w.vars["DEPLOY"] = fmt.Sprintf(`[deploy.proxy]
chain  = %q
key    = %q
check  = %s
reload = %s
verify = [%q]
`, w.file("tls/{name}.crt"), w.file("tls/{name}.key"), w.vars["CHECK"], w.vars["RELOAD"], w.vars["PROXY"])
	return testutil.Within(patience, func() error { return dial(w.vars["PROXY"]) })
}

// dial looks whether somebody listens.
func dial(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err
}

// selfSigned makes a placeholder.
func selfSigned(dir, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "placeholder"}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if c.Raw, err = x509.CreateCertificate(rand.Reader, c, c, key.Public(), key); err != nil {
		return err
	}
	file := filepath.Join(dir, name)
	return writePair(file+".crt", file+".key", placeholder+"\n", key, c)
}

const nginxConf = `daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/.a; proxy_temp_path %[1]s/.b; fastcgi_temp_path %[1]s/.c;
	uwsgi_temp_path %[1]s/.d; scgi_temp_path %[1]s/.e;
`

const nginxServer = `	server {
		listen %[2]s ssl;
		server_name %[3]s;
		ssl_certificate %[1]s/tls/%[3]s.crt;
		ssl_certificate_key %[1]s/tls/%[3]s.key;
		return 200 "this is %[3]s";
	}
`

func (w *world) startNginx(names []string) error {
	var conf strings.Builder
	if os.Geteuid() == 0 {
		conf.WriteString("user root;\n")
	}
	fmt.Fprintf(&conf, nginxConf, w.dir)
	for _, name := range names {
		fmt.Fprintf(&conf, nginxServer, w.dir, w.vars["PROXY"], name)
	}
	conf.WriteString("}\n")
	path, log := w.file("nginx.conf"), w.file("nginx.log")
	if err := os.WriteFile(path, []byte(conf.String()), 0o644); err != nil {
		return err
	}
	w.vars["PROXY_PID"] = w.file("nginx.pid")
	w.vars["CHECK"] = fmt.Sprintf(`["nginx", "-t", "-c", %q, "-e", %q]`, path, log)
	w.vars["RELOAD"] = fmt.Sprintf(`["nginx", "-s", "reload", "-c", %q, "-e", %q]`, path, log)
	return w.daemon("nginx", "-c", path, "-e", log)
}

// startFront starts the double of nginx: it looks for pairs on SIGHUP.
func (w *world) startFront([]string) error {
	pid := w.file("front.pid")
	w.vars["CHECK"], w.vars["PROXY_PID"] = "[]", pid
	w.vars["RELOAD"] = fmt.Sprintf(`["/bin/sh", "-c", "kill -HUP $(cat %s)"]`, pid)
	return w.daemon("front", w.vars["PROXY"], w.file("tls"), pid)
}

// daemon starts a program that ends with the story.
func (w *world) daemon(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	log, err := os.Create(w.file(filepath.Base(program) + ".out"))
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	w.later(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		log.Close()
	})
	return nil
}

// front is a program: a double of nginx, or of any server that ends TLS and
// reads its pairs again on SIGHUP.
func front() {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	addr, dir, pid := os.Args[1], os.Args[2], os.Args[3]
	f, err := acmetest.StartFront(addr, dir)
	if err == nil {
		err = os.WriteFile(pid, fmt.Appendln(nil, os.Getpid()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "front:", err)
		syscall.Exit(1)
	}
	for range hup {
		if err := f.Reload(); err != nil {
			fmt.Fprintln(os.Stderr, "front: not reloaded:", err)
		}
	}
}
