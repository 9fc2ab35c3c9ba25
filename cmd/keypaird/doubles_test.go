package main

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/keypair"
)

// relaydDouble is a program: a double, not relayd(8), which runs on OpenBSD
// only. It follows the rules of relayd that matter here, as read in its source:
//
//   - A keypair NAME on port P is SSL/NAME:P.crt with SSL/private/NAME:P.key;
//     if there is no such .crt, SSL/NAME.crt with SSL/private/NAME.key.
//   - The first keypair is served when SNI is absent or unknown.
//   - A reload (SIGHUP) first drops the relays, their listeners and sessions.
//     If a file is missing then, it is only logged, and there are no relays.
//   - What is no PEM ends the process. A key of another certificate is not
//     noticed: the handshakes fail.
//   - "-n" opens the files and does not look into them.
//
// Its configuration is a file of words: the directory SSL, the address to listen
// on, a file for its process id, then the keypairs.
func relaydDouble() {
	args := os.Args[1:]
	check := args[0] == "-n"
	r, err := readRelay(args[len(args)-1])
	if err == nil && check {
		_, err = r.files()
	}
	if err == nil && !check {
		err = os.WriteFile(r.pid, fmt.Appendln(nil, os.Getpid()), 0o644)
	}
	if err != nil {
		fmt.Println("relayd double:", err)
		syscall.Exit(1)
	}
	if check {
		fmt.Println("configuration OK")
		syscall.Exit(0)
	}
	r.run(args[0])
}

// A relay is the configuration of one relayd.
type relay struct {
	ssl, listen, pid string
	keypairs         []string
}

func readRelay(path string) (relay, error) {
	data, err := os.ReadFile(path)
	words := strings.Fields(string(data))
	if err == nil && len(words) < 4 {
		err = errors.New(path + ": syntax error")
	}
	if err != nil {
		return relay{}, err
	}
	return relay{words[0], words[1], words[2], words[3:]}, nil
}

// files opens the files and reads them.
func (r relay) files() (pairs [][2][]byte, err error) {
	_, port, _ := net.SplitHostPort(r.listen)
	for _, name := range r.keypairs {
		if _, err := os.Stat(filepath.Join(r.ssl, name+":"+port+".crt")); err == nil {
			name += ":" + port // the .crt decides; the key has to follow
		}
		crt, err := os.ReadFile(filepath.Join(r.ssl, name+".crt"))
		if err != nil {
			return nil, fmt.Errorf("cannot load certificates for relay: %w", err)
		}
		key, err := os.ReadFile(filepath.Join(r.ssl, "private", name+".key"))
		if err != nil {
			return nil, fmt.Errorf("cannot load keys for relay: %w", err)
		}
		pairs = append(pairs, [2][]byte{crt, key})
	}
	return pairs, nil
}

// run serves for ever.
func (r relay) run(config string) {
	hup := make(chan os.Signal, 8)
	signal.Notify(hup, syscall.SIGHUP)
	for {
		stop := func() {}
		pairs, err := r.files()
		if err == nil {
			stop, err = r.serve(pairs)
		}
		if err != nil {
			fmt.Println("log_debug:", err, "- no relays")
		}
		<-hup
		stop() // purge before load
		if next, err := readRelay(config); err == nil {
			r = next
		}
	}
}

// serve listens and serves pairs until stopped.
func (r relay) serve(pairs [][2][]byte) (stop func(), err error) {
	var conf tls.Config
	for _, p := range pairs {
		var cert tls.Certificate
		for b, rest := pem.Decode(p[0]); b != nil; b, rest = pem.Decode(rest) {
			cert.Certificate = append(cert.Certificate, b.Bytes)
		}
		key, err := keypair.ParseKey(p[1])
		if err != nil || len(cert.Certificate) == 0 {
			fmt.Println("fatalx: bad PEM")
			syscall.Exit(1)
		}
		cert.PrivateKey = key
		conf.Certificates = append(conf.Certificates, cert)
	}
	ln, err := net.Listen("tcp", r.listen)
	if err != nil {
		return nil, err
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			tls.Server(conn, &conf).Handshake()
			conn.Close()
		}
	}()
	return func() { ln.Close(); <-served }, nil
}

// try does something that must work.
func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
