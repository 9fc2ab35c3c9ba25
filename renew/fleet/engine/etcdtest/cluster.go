package etcdtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/wire"
	"keypaird/renew/testutil"
)

// Prefix is that of the fleet for which users have rights.
const Prefix = "/keypaird/test/"

// Options say which cluster to start.
type Options struct {
	Members int      // zero: one
	Users   bool     // enables authentication: root, and those of AddUsers
	Flags   []string // more of etcd
	Names   []string // of the servers' certificates; none: their addresses
	// Hosts are the addresses of the members, on machines of their own, where Enter runs a
	// program; nil: all are on this one.
	Hosts []string
	Enter func(host string) []string
	// NotAfter ends the servers' certificates; zero: in a day.
	NotAfter time.Time
	Disks    []string // directories of the members' data, one each; nil: with the rest
}

// A Cluster is an etcd for a test.
type Cluster struct {
	CA      *CA
	Members []*Member
	t       testing.TB
	dir     string
	etcdctl string
	options Options
}

// A Member is one process of etcd.
type Member struct {
	URL     string // for clients
	cluster *Cluster
	name    string
	peer    string
	host    string
	data    string // its directory
	cmd     *exec.Cmd
	watcher *exec.Cmd // kills it when this process has ended
	hold    *os.File
}

// Start starts a cluster, and waits until it answers.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	etcd := program(t, "etcd")
	c := &Cluster{CA: NewCA(t), t: t, dir: testutil.Memory(t), etcdctl: program(t, "etcdctl"), options: o}
	for i := range max(o.Members, 1) {
		m := &Member{cluster: c, name: "m" + strconv.Itoa(i)}
		m.data = c.path(m.name)
		if o.Disks != nil {
			m.data = filepath.Join(o.Disks[i], m.name)
		}
		if o.Hosts != nil {
			m.host = o.Hosts[i]
			m.URL, m.peer = "https://"+net.JoinHostPort(m.host, "2379"), "http://"+net.JoinHostPort(m.host, "2380")
		} else {
			m.host = loopback()
			m.URL, m.peer = "https://"+free(t, m.host), "http://"+free(t, m.host)
		}
		c.Members = append(c.Members, m)
	}
	reached := o.Names == nil && (o.NotAfter.IsZero() || o.NotAfter.After(time.Now()))
	if o.Names == nil {
		for _, m := range c.Members {
			o.Names = append(o.Names, m.host)
		}
	}
	if o.NotAfter.IsZero() {
		o.NotAfter = time.Now().Add(24 * time.Hour)
	}
	cert, key := c.CA.Server(t, o.NotAfter, o.Names...)
	c.write("ca.pem", c.CA.PEM)
	c.write("server.pem", cert)
	c.write("server.key", key)
	cert, key = c.CA.Client(t, time.Now().Add(time.Hour), "root")
	c.write("root.pem", cert)
	c.write("root.key", key)
	t.Cleanup(func() {
		for _, m := range c.Members {
			m.Kill()
		}
		if t.Failed() {
			for _, m := range c.Members {
				t.Logf("log of %s, its end: %s", m.URL, tail(testutil.Text(t, c.path(m.name+".log"))))
			}
		}
	})
	for _, m := range c.Members {
		m.start(etcd, "new")
	}
	if reached {
		c.wait()
	}
	if o.Users {
		c.Ctl("user", "add", "root", "--no-password")
		c.Ctl("user", "grant-role", "root", "root")
		c.Ctl("auth", "enable")
	}
	return c
}

// Another is the environment variable with the directory of another etcd than Debian's: of
// etcd, etcdctl and, since 3.6, etcdutl.
const Another = "KEYPAIRD_TEST_ETCD"

// program returns the path of one of etcd's programs.
func program(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv(Another); dir != "" {
		return testutil.Program(t, filepath.Join(dir, name))
	}
	return testutil.Program(t, name)
}

// loopback returns an address of this machine; on Linux, which has millions, one that no
// other test has.
func loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
}

// free returns the address with a port that is free.
func free(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	testutil.Must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func tail(text string) string { return text[max(0, len(text)-2000):] }

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) write(name string, data []byte) { testutil.WriteFile(c.t, c.path(name), data, 0o600) }

// wait waits until all members answer.
func (c *Cluster) wait() {
	c.t.Helper()
	testutil.Must(c.t, testutil.Within(20*time.Second, func() error {
		out, err := c.ctl("endpoint", "health")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}))
}

// start starts a member. Peers speak without TLS: nobody else hears them.
func (m *Member) start(etcd, state string, flags ...string) {
	c := m.cluster
	var initial []string
	for _, o := range c.Members {
		initial = append(initial, o.name+"="+o.peer)
	}
	args := append([]string{
		"--name", m.name, "--data-dir", m.data,
		"--listen-client-urls", m.URL, "--advertise-client-urls", m.URL,
		"--listen-peer-urls", m.peer, "--initial-advertise-peer-urls", m.peer,
		"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-state", state, "--initial-cluster-token", "test",
		"--cert-file", c.path("server.pem"), "--key-file", c.path("server.key"), "--client-cert-auth", "--trusted-ca-file", c.path("ca.pem"),
		"--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap", "--log-outputs", c.path(m.name + ".log"),
	}, c.options.Flags...)
	argv := append([]string{etcd}, append(args, flags...)...)
	if c.options.Enter != nil {
		argv = append(c.options.Enter(m.host), argv...)
	}
	m.cmd = exec.Command(argv[0], argv[1:]...)
	testutil.Must(c.t, m.cmd.Start())
	r, w, err := os.Pipe()
	testutil.Must(c.t, err)
	m.watcher = exec.Command("/bin/sh", "-c", "cat >/dev/null; kill -9 "+strconv.Itoa(m.cmd.Process.Pid))
	m.watcher.Stdin, m.hold = r, w
	testutil.Must(c.t, m.watcher.Start())
	r.Close()
}

// Freeze stops a member, without notice to its peers and clients. A thread that runs
// may answer once more before it stops, so each is waited for.
func (m *Member) Freeze() {
	_ = m.cmd.Process.Signal(syscall.SIGSTOP)
	testutil.Eventually(m.cluster.t, "a frozen member", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.cmd.Process.Pid))
		for _, stat := range threads {
			if text, err := os.ReadFile(stat); err == nil && !bytes.Contains(text, []byte(") T ")) {
				return false
			}
		}
		return true
	})
}

// Thaw lets a frozen member go on.
func (m *Member) Thaw() { _ = m.cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends a member at once.
func (m *Member) Kill() {
	if m.cmd == nil {
		return
	}
	_ = m.watcher.Process.Kill()
	_ = m.watcher.Wait()
	m.hold.Close()
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
}

// Start starts a member again that was killed.
func (m *Member) Start() {
	m.start(program(m.cluster.t, "etcd"), "existing")
}

// Data returns the directory of a member's database, and the file of its log.
func (m *Member) Data() (dir, log string) {
	return m.data, m.cluster.path(m.name + ".log")
}

// Host returns the address of a member.
func (m *Member) Host() string { return m.host }

// Wait waits until all members answer.
func (c *Cluster) Wait() { c.wait() }

// Pid returns the number of the process.
func (m *Member) Pid() int { return m.cmd.Process.Pid }

// Endpoints returns the URLs of the members.
func (c *Cluster) Endpoints() (list []string) {
	for _, m := range c.Members {
		list = append(list, m.URL)
	}
	return list
}

// Settings returns those of a client with a certificate of the user; empty: with none.
func (c *Cluster) Settings(user string) wire.Settings {
	s := wire.Settings{Endpoints: c.Endpoints(), Prefix: Prefix, CA: c.CA.PEM}
	if user != "" {
		s.Cert, s.Key = c.CA.Client(c.t, time.Now().Add(time.Hour), user)
	}
	return s
}

// Ctl runs etcdctl as root.
func (c *Cluster) Ctl(args ...string) string {
	c.t.Helper()
	out, err := c.ctl(args...)
	if err != nil {
		c.t.Fatalf("etcdctl %q: %v: %s", args, err, out)
	}
	return out
}

func (c *Cluster) ctl(args ...string) (string, error) {
	return c.ctlWith(c.path("root.pem"), c.path("root.key"), args...)
}

// CtlAs runs etcdctl as a user.
func (c *Cluster) CtlAs(user string, args ...string) (string, error) {
	c.t.Helper()
	cert, key := c.CA.Client(c.t, time.Now().Add(time.Hour), user)
	c.write(user+".pem", cert)
	c.write(user+".key", key)
	return c.ctlWith(c.path(user+".pem"), c.path(user+".key"), args...)
}

func (c *Cluster) ctlWith(cert, key string, args ...string) (string, error) {
	return command(c.etcdctl, append([]string{
		"--endpoints", strings.Join(c.Endpoints(), ","), "--cacert", c.path("ca.pem"), "--cert", cert, "--key", key,
		"--command-timeout", "10s", "--dial-timeout", "5s",
	}, args...)...)
}

func command(path string, args ...string) (string, error) {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// AddUser gives a user the rights that fleet members have: those who order may do all,
// the others read what they need and report.
func (c *Cluster) AddUser(name string, orders bool) {
	c.t.Helper()
	c.Ctl("user", "add", name, "--no-password")
	c.Ctl("role", "add", name)
	grant := func(rights string, keys ...string) {
		for _, key := range keys {
			c.Ctl("role", "grant-permission", "--prefix=true", name, rights, Prefix+key)
		}
	}
	if orders {
		grant("readwrite", "")
	} else {
		grant("read", "fleet", "seat", "live/", "pairs/", "tokens/", "nodes/")
		grant("readwrite", "nodes/"+name+"/", "asks/"+name+"/")
	}
	c.Ctl("user", "grant-role", name, name)
}

// Compact forgets changes up to a revision.
func (c *Cluster) Compact(revision int64) {
	c.t.Helper()
	c.Ctl("compact", strconv.FormatInt(revision, 10))
}

// Backup returns the file of a snapshot of the only member.
func (c *Cluster) Backup() string {
	c.t.Helper()
	path := c.path("backup")
	_ = os.Remove(path)
	c.Ctl("snapshot", "save", path)
	return path
}

// Restore stops the only member, and starts it with a backup in place of its data; with
// an empty path without any.
func (c *Cluster) Restore(backup string) {
	c.t.Helper()
	m := c.Members[0]
	m.Kill()
	testutil.Must(c.t, os.RemoveAll(m.data))
	if backup != "" {
		restore := c.etcdctl
		if util := filepath.Join(os.Getenv(Another), "etcdutl"); filepath.IsAbs(util) {
			restore = util
		}
		out, err := command(restore, "snapshot", "restore", backup, "--name", m.name, "--data-dir", m.data,
			"--initial-cluster", m.name+"="+m.peer, "--initial-advertise-peer-urls", m.peer, "--initial-cluster-token", "test")
		if err != nil {
			c.t.Fatalf("restoring a backup: %v: %s", err, out)
		}
	}
	m.start(program(c.t, "etcd"), "new")
	c.wait()
}
