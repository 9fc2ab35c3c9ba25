package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

const unboundConf = `server:
	directory: %[1]q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	verbosity: 1
	interface: 127.0.0.1
	port: %[2]s
	module-config: "iterator"
	do-not-query-localhost: no
remote-control:
	control-enable: no
forward-zone:
	name: "."
	forward-addr: %[3]s
`

// startCache starts a caching resolver before the DNS server of the story, as a CA has:
// unbound, or where it is missing, acmetest's small one.
func (w *world) startCache() (addr string, err error) {
	if lacking("unbound") != nil && !testutil.Required() {
		c, err := acmetest.StartCache(w.vars["DNS"])
		if err != nil {
			return "", err
		}
		w.later(func() { c.Close() })
		return c.Addr, nil
	}
	port, err := acmetest.FreePort()
	if err != nil {
		return "", err
	}
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	dir := w.file("unbound")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	forward := strings.Replace(w.vars["DNS"], ":", "@", 1)
	conf := fmt.Sprintf(unboundConf, dir, strconv.Itoa(port), forward)
	if err := os.WriteFile(w.file("unbound", "unbound.conf"), []byte(conf), 0o644); err != nil {
		return "", err
	}
	cmd := exec.Command("unbound", "-d", "-d", "-c", w.file("unbound", "unbound.conf"))
	says, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	running, read := make(chan bool, 1), make(chan struct{})
	var log strings.Builder
	go func() { // ends with unbound; stop waits for it
		defer close(read)
		for lines := bufio.NewScanner(says); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if strings.Contains(lines.Text(), "start of service") {
				running <- true
			}
		}
	}()
	stop := func() {
		cmd.Process.Kill()
		<-read
		cmd.Wait()
	}
	select {
	case <-running:
		w.later(stop)
		return addr, nil
	case <-read:
	case <-time.After(30 * time.Second):
	}
	stop()
	return "", fmt.Errorf("unbound does not start:\n%s", log.String())
}
