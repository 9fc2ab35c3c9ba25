package fleet

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/problem"
)

// A machine is one on which keypaird fleet is run.
type machine struct {
	t     *testing.T
	name  string
	state string
	file  string
	e     engine.Engine
}

func newMachine(t *testing.T, name string, e engine.Engine) *machine {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t, name, dir + "/state", dir + "/keypaird.toml", e}
	m.configure("")
	return m
}

// configure writes the configuration; the lines of nodes are below [fleet.nodes].
func (m *machine) configure(nodes string) {
	m.t.Helper()
	text := fmt.Sprintf("state = %q\n[cert.a]\nhttp-01 = [\"a.example.org\"]\n", m.state)
	if nodes != "" {
		text += "[fleet]\nengine = [\"http://127.0.0.1:2379\"]\nprefix = \"/keypaird/test/\"\norder = [\"mx1\", \"mx3\"]\n[fleet.nodes]\n" + nodes
	}
	if err := os.WriteFile(m.file, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run runs a command line and returns what it prints, and the hint.
func (m *machine) run(line string) (out, hint string, err error) {
	m.t.Helper()
	var b bytes.Buffer
	c := Command{Stdout: &b, Hint: func(text string) { hint += text }, Log: slog.New(slog.DiscardHandler)}
	c.Connect = func(context.Context, *config.Config, *slog.Logger) (engine.Engine, func()) {
		return m.e, func() {}
	}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c.Flags(flags)
	verb, args := Verb(strings.Fields(line))
	if err := flags.Parse(args); err != nil {
		m.t.Fatal(err)
	}
	words := append(verb, flags.Args()...)
	o := config.Options{Path: m.file, Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return m.name + ".example.org", nil }}
	err = c.Run(m.t.Context(), o, words)
	return b.String(), hint, err
}

// must is run for a command that has to succeed.
func (m *machine) must(line string) (out string) {
	m.t.Helper()
	out, _, err := m.run(line)
	if err != nil {
		m.t.Fatalf("%s: %v (%s)", line, err, problem.Remedy(err))
	}
	return out
}

// refused is run for a command that has to fail.
func (m *machine) refused(line, want, remedy string) {
	m.t.Helper()
	out, _, err := m.run(line)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(problem.Remedy(err), remedy) {
		m.t.Errorf("%s: %q, %v (%s); want %q (%s)", line, out, err, problem.Remedy(err), want, remedy)
	}
}

func TestKey(t *testing.T) {
	m := newMachine(t, "mx1", nil)
	line, hint, err := m.run("key")
	if err != nil || !strings.HasPrefix(line, `mx1 = "age1`) || !strings.Contains(hint, "[fleet.nodes]") {
		t.Fatalf("%q, %q, %v", line, hint, err)
	}
	info, err := os.Stat(envelope.Path(m.state))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if again := m.must("key"); again != line {
		t.Errorf("another key: %s, then %s", line, again)
	}
	m.configure(line)
	if again, hint, err := m.run("key"); again != line || hint != "" || err != nil {
		t.Errorf("%q, %q, %v", again, hint, err)
	}
	// The rest of the file may be wrong still; its text may not.
	m.configure("mx2 = \"?\"")
	if again := m.must("key"); again != line {
		t.Errorf("%q", again)
	}
	m.configure("mx1 =")
	m.refused("key", "the file ends inside", "")
}

// A key is exchanged in two steps, between which the file has both.
func TestRotate(t *testing.T) {
	m := newMachine(t, "mx1", nil)
	old := m.must("key")
	m.configure(old)
	both, hint, err := m.run("key -rotate")
	if err != nil || !strings.HasPrefix(both, `mx1 = ["age1`) || !strings.Contains(hint, "in place of") {
		t.Fatalf("%q, %q, %v", both, hint, err)
	}
	m.refused("key -rotate", "which [fleet.nodes] does not have", "both")
	m.configure(both)
	m.refused("key -rotate", "still has the first", "leave only the last")
	_, last, _ := strings.Cut(strings.Trim(both, "]\n"), ", ")
	m.configure("mx1 = " + last + "\n")
	renewed, hint, err := m.run("key -rotate")
	if err != nil || renewed != "mx1 = "+last+"\n" || hint != "" {
		t.Errorf("%q, %q, %v; want %q", renewed, hint, err, last)
	}
	if i, err := envelope.Read(m.state); err != nil || len(i.Publics()) != 1 {
		t.Errorf("%v, %v", i, err)
	}
}

func TestUsage(t *testing.T) {
	m := newMachine(t, "mx1", nil)
	m.refused("", "one of the words key and init", "")
	m.refused("key init", "one of the words", "")
	m.refused("kye", `did you mean "key"?`, "")
	m.refused("inti", `did you mean "init"?`, "")
	m.refused("-rotate init", "-rotate is for key", "")
	m.refused("init -rotate", "-rotate is for key", "")
	m.refused("key -print-etcdctl", "-print-etcdctl for init", "")
	m.refused("init", "no [fleet]", "fleet-mx")
	m.refused("init -print-etcdctl", "no [fleet]", "fleet-mx")
}

// machines returns machines with keys, and the lines of them all.
func machines(t *testing.T, e engine.Engine, names ...string) (all []*machine, lines string) {
	t.Helper()
	for _, name := range names {
		m := newMachine(t, name, e)
		all = append(all, m)
		lines += m.must("key")
	}
	for _, m := range all {
		m.configure(lines)
	}
	return all, lines
}

// An operator may order without the engine where it takes nothing, or where no node orders.
func TestUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))) // documents are not older
		store := memory.New()
		all, _ := machines(t, store.Client("c"), "mx1", "mx3")
		mx1 := all[0]
		mx1.must("init")
		cfg, err := config.Load(config.Options{Path: mx1.file, Getenv: os.Getenv, Hostname: func() (string, error) { return "mx1", nil }})
		if err != nil {
			t.Fatal(err)
		}
		c := Command{Log: slog.New(slog.DiscardHandler), Hint: func(string) {}, Connect: func(context.Context, *config.Config, *slog.Logger) (engine.Engine, func()) {
			return mx1.e, func() {}
		}}
		if err := c.CheckUnusable(t.Context(), cfg); err != nil {
			t.Errorf("no node orders: %v (%s)", err, problem.Remedy(err))
		}
		if _, err := mx1.e.Commit(t.Context(), nil, []engine.Op{{Key: document.SeatKey, Value: document.SeatValue("mx3", document.NewID())}}); err != nil {
			t.Fatal(err)
		}
		if err := c.CheckUnusable(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "node mx3 orders") || !strings.Contains(problem.Remedy(err), "leave -alone out") {
			t.Errorf("mx3 orders: %v (%s)", err, problem.Remedy(err))
		}
		store.Set(memory.Faults{ReadOnly: true})
		if err := c.CheckUnusable(t.Context(), cfg); err != nil {
			t.Errorf("the engine takes nothing: %v", err)
		}
	})
}

func TestInit(t *testing.T) {
	store := memory.New()
	all, lines := machines(t, store.Client("c"), "mx1", "mx2", "mx3")
	mx1, mx2, mx3 := all[0], all[1], all[2]
	mx2.refused("init", `this node, "mx2", is not in order`, "mx1, mx3")
	out := mx1.must("init")
	if !strings.HasPrefix(out, "fleet ") || !strings.HasSuffix(out, " begins at /keypaird/test/\n") {
		t.Fatalf("%q", out)
	}
	id := strings.Fields(out)[1]
	if again := mx1.must("init"); again != "fleet "+id+" is at /keypaird/test/ already\n" {
		t.Errorf("%q", again)
	}
	if other := mx3.must("init"); other != "fleet "+id+" is at /keypaird/test/ already\n" {
		t.Errorf("%q", other)
	}
	cfg, err := config.Load(config.Options{Path: mx2.file, Getenv: os.Getenv, Hostname: func() (string, error) { return "mx2", nil }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // from the engine, then from the file
		if got, err := ID(t.Context(), store.Client("c"), cfg); err != nil || got != id {
			t.Errorf("ID = %q, %v; want %q", got, err, id)
		}
	}
	// An engine that was emptied has the same fleet again.
	if _, err := store.Client("c").Commit(t.Context(), nil, []engine.Op{{Key: document.FleetKey}}); err != nil {
		t.Fatal(err)
	}
	if out := mx3.must("init"); out != "fleet "+id+" begins at /keypaird/test/\n" {
		t.Errorf("%q", out)
	}
	// A fleet of others, and a member of another fleet.
	others, _ := machines(t, store.Client("c"), "mx1")
	others[0].configure(strings.Replace(others[0].must("key"), "mx1", "mx3", 1) + strings.Replace(lines, "mx3", "mx4", 1))
	others[0].refused("init", `has the key of "mx3"`, "set node")
	others[0].configure(others[0].must("key") + strings.Join(strings.SplitAfter(newLines(t), "\n")[1:], ""))
	others[0].refused("init", "/keypaird/test/ holds another fleet", "another prefix")
	if err := os.WriteFile(idPath(mx1.state), []byte(document.NewID()), 0o600); err != nil {
		t.Fatal(err)
	}
	mx1.refused("init", "this machine belongs to fleet", "another prefix")
	if err := os.WriteFile(idPath(mx1.state), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	mx1.refused("init", "holds no id of a fleet", "remove it")
}

// newLines returns the lines of nodes mx1 and mx3 of another fleet.
func newLines(t *testing.T) string {
	t.Helper()
	_, lines := machines(t, nil, "mx1", "mx3")
	return lines
}

// A prefix with the keys of another program is left alone.
func TestInitForeign(t *testing.T) {
	store := memory.New()
	if _, err := store.Client("c").Commit(t.Context(), nil, []engine.Op{{Key: "pods/default", Value: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	all, _ := machines(t, store.Client("c"), "mx1", "mx3")
	all[0].refused("init", `holds 1 keys already, and no fleet: "pods/default"`, "another prefix")
	if _, err := store.Client("c").Commit(t.Context(), nil, []engine.Op{{Key: document.FleetKey, Value: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	all[0].refused("init", "holds another fleet", "[fleet.nodes]")
}

// A lost answer is looked up, and an engine that is away changes nothing.
type lossy struct {
	engine.Engine
	commits bool // the commit happens
}

func (l lossy) Commit(ctx context.Context, conditions []engine.Condition, do []engine.Op) (engine.Revision, error) {
	if l.commits {
		if _, err := l.Engine.Commit(ctx, conditions, do); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("no answer")
}

func TestInitLostAnswer(t *testing.T) {
	for _, commits := range []bool{true, false} {
		all, _ := machines(t, lossy{memory.New().Client("c"), commits}, "mx1", "mx3")
		out, _, err := all[0].run("init")
		if (err == nil) != commits || strings.Contains(out, "begins") != commits {
			t.Errorf("%v: %q, %v", commits, out, err)
		}
		if id, err := savedID(all[0].state); (id != "") != commits || err != nil {
			t.Errorf("%v: %q, %v", commits, id, err)
		}
	}
}

func TestEtcdctl(t *testing.T) {
	all, _ := machines(t, nil, "mx1", "mx2", "mx3")
	got := all[0].must("init -print-etcdctl")
	for _, want := range []string{
		"etcdctl role grant-permission keypaird-test-order --prefix=true readwrite /keypaird/test/\n",
		"etcdctl role grant-permission keypaird-test-node --prefix=true read /keypaird/test/live/\n",
		"etcdctl role grant-permission keypaird-test-node --prefix=true read /keypaird/test/seat\n",
		"etcdctl role grant-permission keypaird-test-mx2 --prefix=true readwrite /keypaird/test/nodes/mx2/\n",
		"etcdctl user grant-role mx1 keypaird-test-order\n", "etcdctl user grant-role mx2 keypaird-test-mx2\n", "etcdctl user add mx2 --no-password", "etcdctl auth enable\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
	for _, secret := range []document.Kind{document.KindOrder, document.KindAccount, document.KindRecord, document.KindOrderLog, document.KindCounts} {
		if strings.Contains(got, " /keypaird/test/"+secret.Prefix()) {
			t.Errorf("nodes may use %s:\n%s", secret, got)
		}
	}
}

// The commands for etcd name the user and the role of a node that was removed.
func TestEtcdctlRemove(t *testing.T) {
	f := config.Fleet{Engine: []string{"https://10.0.0.1:2379"}, Prefix: "/keypaird/mx/"}
	if got := etcdctlRemove(f, "mx2"); got != "" {
		t.Errorf("the engine knows no users: %s", got)
	}
	f.TLS.CA, f.TLS.Cert = "/ca.pem", "/node.pem"
	got := etcdctlRemove(f, "mx2")
	f.PasswordFile, f.User, f.Node = "/password", "fleet", "mx1"
	if got := etcdctlRemove(f, "mx2"); !strings.Contains(got, "\netcdctl user passwd fleet\n") || !strings.Contains(got, "/password on those that are left") || strings.Contains(got, "delete") {
		t.Errorf("of a user that nodes share:\n%s", got)
	}
	if got := etcdctlCommands(f); strings.Count(got, "\netcdctl user add ") != 2 || !strings.Contains(got, "\netcdctl user grant-role fleet keypaird-mx-order\n") { // root is the other
		t.Errorf("of a user that nodes share:\n%s", got)
	}
	for _, want := range []string{"ETCDCTL_ENDPOINTS=https://10.0.0.1:2379\n", "export ETCDCTL_CACERT=/ca.pem ", "\netcdctl user delete mx2\n", "\netcdctl role delete keypaird-mx-mx2\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
}

// An alarmed engine can be read, and takes no values.
type alarmed struct{ engine.Engine }

func (alarmed) State(context.Context) (*wire.State, error) {
	return &wire.State{Endpoints: []wire.Endpoint{{URL: "https://10.0.0.1:2379"}, {URL: "https://10.0.0.2:2379", Alarms: []string{"NOSPACE"}}}}, nil
}

func TestStatusOfAlarm(t *testing.T) {
	all, _ := machines(t, alarmed{memory.New().Client("c")}, "mx1", "mx3")
	all[0].must("init")
	out := all[0].must("status")
	if !strings.Contains(out, "the engine cannot be used: 10.0.0.2:2379: it has the alarm NOSPACE\nremedy: for NOSPACE: etcdctl compact") {
		t.Error(out)
	}
}
