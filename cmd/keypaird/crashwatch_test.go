package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"keypaird/renew/keypair"
)

// watch connects to the proxy every 100 ms until it is stopped, and returns how
// often it was well served. It is no part of keypaird, and believes nobody but
// the CA.
func (c *crash) watch() (stop func() int) {
	c.Helper()
	trust, err := os.ReadFile(c.file("trust.pem"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(trust) {
		c.Fatal("no root to believe", err)
	}
	done, seen := make(chan struct{}), 0
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, name := range crashNames {
				conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", c.vars["PROXY"], &tls.Config{ServerName: name, RootCAs: roots})
				if err != nil {
					c.Errorf("a client that asked for %s at %v: %v", name, time.Now(), err)
					continue
				}
				conn.Close()
				seen++
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() int {
		close(done)
		watching.Wait()
		return seen
	}
}

// keep has a daemon put things right, at its first look, and ends it.
func (c *crash) keep() {
	c.Helper()
	cmd, _ := c.daemon()
	cmd.Stdout, cmd.Stderr = nil, nil
	says, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.Fatal(err)
	}
	limit := time.AfterFunc(2*patience, func() { cmd.Process.Kill() })
	defer limit.Stop()
	var log strings.Builder
	for lines := bufio.NewScanner(says); lines.Scan(); {
		fmt.Fprintln(&log, lines.Text())
		if strings.Contains(lines.Text(), `msg="pass finished"`) {
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "failing=0") {
		c.Fatalf("run: %v\n%s", err, log.String())
	}
}

// forgetFailures removes failed orders from a record, if there is one.
func (c *crash) forgetFailures(path string) {
	c.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var record map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	delete(record, "orders")
	if err == nil {
		data, err = json.Marshal(record)
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		c.Fatal(err)
	}
}

// swept complains of what a round has left behind. Some of what was half done or
// half undone when keypaird died may wait for the next order.
func (c *crash) swept(what string) {
	c.Helper()
	for _, path := range c.crumbs {
		if _, err := os.Lstat(path); err == nil {
			c.Errorf("%s: left over by the round before: %s", what, path)
		}
	}
	c.crumbs = nil
	for _, pattern := range []string{"state/http-01/*", "state/certs/*/pending", "state/certs/*/.*", "tls/.*"} {
		left, _ := filepath.Glob(c.file(pattern))
		for _, path := range left {
			base := filepath.Base(path)
			switch {
			case strings.HasPrefix(base, ".token-"): // half a token, which nobody is shown, is swept a day later
			case strings.HasPrefix(base, ".tmp-gone-"), strings.HasPrefix(base, ".record.json."), base == "pending" && hollow(path):
				c.crumbs = append(c.crumbs, path)
			default:
				c.Errorf("%s: left over: %s", what, path)
				os.RemoveAll(path)
			}
		}
	}
}

// hollow reports whether there are no files in a directory.
func hollow(dir string) bool {
	empty := true
	filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		empty = empty && err == nil && entry.IsDir()
		return nil
	})
	return empty
}

// whole fails unless these are a pair.
func (c *crash) whole(chain, key string) error {
	chainPEM, err := os.ReadFile(chain)
	if err != nil {
		return err
	}
	keyPEM, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	_, err = keypair.Parse(chainPEM, keyPEM)
	return err
}

// shows is the certificate that the proxy serves for a name, as certificate
// gives it. A handshake with it proves that it has the key too.
func (c *crash) shows(name string) (string, error) {
	conn, err := tls.Dial("tcp", c.vars["PROXY"], &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return certificate(pemOf(conn.ConnectionState().PeerCertificates[0])), nil
}
