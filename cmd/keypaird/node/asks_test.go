package node

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
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/cmd/keypaird/accounts"
	"keypaird/cmd/keypaird/config"
	commands "keypaird/cmd/keypaird/fleet"
	"keypaird/renew"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/problem"
	"keypaird/renew/record"
	"keypaird/renew/status"
)

const target = "a.example"

// A meeting is an engine in memory and the machines that meet there: mx1 and mx2 may order,
// web may not.
type meeting struct {
	t        *testing.T
	server   *memory.Server
	machines map[string]*machine
	lines    map[string]string // of [fleet.nodes]
	user     string            // lines of [fleet], by which the engine knows nodes
}

// A machine is a node and its commands.
type machine struct {
	*meeting
	name   string
	dir    string
	client *memory.Client
	node   *Node
	stop   func()
	issued []string // what was asked of its daemon
	held   string   // why that orders nothing; "": it does
	rolled int      // how often keys of accounts were replaced
	busy   bool     // its daemon begins nothing
}

func meet(t *testing.T) *meeting {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)))
	m := &meeting{t: t, server: memory.New(), machines: map[string]*machine{}, lines: map[string]string{}}
	for _, name := range []string{"mx1", "mx2", "web"} {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c := &machine{meeting: m, name: name, dir: dir}
		m.machines[name] = c
		c.configure()
		m.lines[name] = c.must("key")
	}
	m.configure()
	m.machines["mx1"].must("init")
	return m
}

func (m *meeting) configure() {
	for _, c := range m.machines {
		c.configure()
	}
}

func (m *machine) configure() {
	text := fmt.Sprintf("state = %q\n[cert.%q]\nhttp-01 = [%q]\n", m.dir+"/state", target, target)
	if len(m.lines) == 3 || m.lines["mx1"] != "" && m.lines["mx2"] != "" {
		text += "[fleet]\nengine = [\"http://127.0.0.1:2379\"]\nprefix = \"/keypaird/test/\"\norder = [\"mx1\", \"mx2\"]\n" + m.user + "[fleet.nodes]\n"
		for _, line := range m.lines {
			text += line
		}
	}
	if err := os.WriteFile(m.dir+"/keypaird.toml", []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) options() config.Options {
	return config.Options{Path: m.dir + "/keypaird.toml", Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return m.name, nil }}
}

// run runs a command line of keypaird fleet.
func (m *machine) run(line string) (string, error) {
	var b bytes.Buffer
	c := commands.Command{Stdout: &b, Hint: func(string) {}, Log: slog.New(slog.DiscardHandler)}
	c.Connect = func(context.Context, *config.Config, *slog.Logger) (engine.Engine, func()) {
		return m.server.Client(m.name + " command"), func() {}
	}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c.Flags(flags)
	verb, args := commands.Verb(strings.Fields(line))
	if err := flags.Parse(args); err != nil {
		m.t.Fatal(err)
	}
	err := c.Run(m.t.Context(), m.options(), append(verb, flags.Args()...))
	return b.String(), err
}

func (m *machine) must(line string) string {
	m.t.Helper()
	out, err := m.run(line)
	if err != nil {
		m.t.Fatalf("%s: %s: %v (%s)", m.name, line, err, problem.Remedy(err))
	}
	return out
}

func (m *machine) refused(line, want, remedy string) {
	m.t.Helper()
	out, err := m.run(line)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(problem.Remedy(err), remedy) {
		m.t.Errorf("%s: %s: %q, %v (%s); want %q (%s)", m.name, line, out, err, problem.Remedy(err), want, remedy)
	}
}

// start runs the node of a machine.
func (m *machine) start() {
	m.t.Helper()
	cfg, err := config.Load(m.options())
	if err != nil {
		m.t.Fatal(err)
	}
	identity, err := envelope.Read(cfg.State)
	if err != nil {
		m.t.Fatal(err)
	}
	store, err := keypair.Open(cfg.State)
	if err != nil {
		m.t.Fatal(err)
	}
	m.client = m.server.Client(m.name)
	log := slog.New(slog.NewTextHandler(testLog{m}, nil))
	o := commands.Options(cfg, m.client, log)
	o.Identity, o.Boot, o.Version = identity, document.NewID(), "v1.0.0"
	m.node = newNode(Options{Fleet: o, Store: store, Log: log, ID: func(ctx context.Context) (string, error) {
		return commands.ID(ctx, m.client, cfg)
	}})
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan struct{}, 2)
	go func() { m.node.Run(ctx, func([]string) {}); done <- struct{}{} }()
	go func() { m.node.ServeAsks(ctx, m.issue, m.rollover); done <- struct{}{} }()
	m.stop = func() { cancel(); <-done; <-done; store.Close() }
}

type testLog struct{ *machine }

func (l testLog) Write(text []byte) (int, error) {
	l.t.Logf("%s: %s", l.name, text)
	return len(text), nil
}

// issue stands for the daemon.
func (m *machine) issue(_ context.Context, targets []string, force, newKey bool) (status.Results, error) {
	m.issued = append(m.issued, fmt.Sprint(targets, force, newKey))
	return status.Results{{Done: renew.Done{Target: targets[0], Action: renew.Issue, CA: "ca", Why: "forced"}, OK: m.held == "", Error: m.held}}, nil
}

// rollover stands for the daemon, too.
func (m *machine) rollover(ctx context.Context, cas []string) (status.Results, error) {
	if m.busy {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	m.rolled++
	if m.held != "" {
		return nil, problem.New(m.held, "wait")
	}
	return status.Results{{Done: renew.Done{Target: cas[0], Why: "key replaced"}, OK: true}, {Done: renew.Done{Target: cas[1]}, Error: "no such CA", Remedy: "name another"}}, nil
}

// The key of an account is replaced by the node in the seat.
func TestAskRollover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		mx1, _, web, _ := m.begin()
		defer m.end()
		cfg, err := config.Load(web.options())
		ok(t, err)
		c := commands.Command{Stdout: io.Discard, Hint: func(string) {}, Log: slog.New(slog.DiscardHandler)}
		c.Connect = func(context.Context, *config.Config, *slog.Logger) (engine.Engine, func()) {
			return m.server.Client("web command"), func() {}
		}
		rows, err := c.Rollover(t.Context(), cfg, []string{"letsencrypt", "other"})
		ok(t, err)
		if len(rows) != 2 || rows[0].Done != "key replaced" || rows[0].Status != accounts.Valid || rows[0].Directory == "" || rows[1].CA != "other" || rows[1].Error != "no such CA" || rows[1].Remedy != "name another" || rows.Failed() != 1 {
			t.Errorf("%+v", rows)
		}
		mx1.held = "the disk is full"
		if rows, err := c.Rollover(t.Context(), cfg, []string{"a", "b"}); err == nil || err.Error() != mx1.held || problem.Remedy(err) != "wait" {
			t.Errorf("%+v, %v", rows, err)
		}
	})
}

// What was done is answered later if the answer cannot be written, and is not done again. What
// was not begun while somebody waits for it is not done.
func TestAskRolloverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		mx1, mx2, web, _ := m.begin()
		defer m.end()
		writes := 0
		mx1.client.Set(memory.Faults{Fail: func(c memory.Call) error {
			if slices.ContainsFunc(c.Ops, func(o engine.Op) bool { return strings.HasPrefix(o.Key, "asks/") }) {
				if writes++; writes <= 4 { // Commit gives up
					return errors.New("the connection was reset")
				}
			}
			return nil
		}})
		key := document.AskKey("web", document.NewID())
		web.write(key, document.Ask{Do: document.Rollover, At: time.Now(), CAs: []string{"a", "b"}})
		time.Sleep(2 * rereadEvery)
		if a, ok := web.answer(key); !ok || len(a.Outcomes) != 2 || mx1.rolled != 1 || mx2.rolled != 0 {
			t.Errorf("%+v, %v: done %d and %d times", a, ok, mx1.rolled, mx2.rolled)
		}
		mx1.busy = true
		key = document.AskKey("web", document.NewID())
		web.write(key, document.Ask{Do: document.Rollover, At: time.Now().Add(-time.Minute), CAs: []string{"a", "b"}})
		time.Sleep(document.AskFor - time.Minute)
		if a, ok := web.answer(key); !ok || !strings.Contains(a.Error, "not done within 10m0s") || !strings.Contains(a.Remedy, "fleet status") {
			t.Errorf("%+v, %v", a, ok)
		}
	})
}

// publish makes a new release, and returns its fingerprint.
func (m *machine) publish() string {
	m.t.Helper()
	p, err := pairtest.Issue([]string{target}, time.Now(), 90*24*time.Hour)
	if err != nil {
		m.t.Fatal(err)
	}
	term, err := m.node.Fleet().Term()
	if err == nil {
		_, err = m.node.Fleet().Publish(m.t.Context(), term, fleet.Publication{Target: target, Pair: p})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return p.Fingerprint()
}

// release returns the release that the engine has.
func (m *machine) release() document.Release {
	m.t.Helper()
	r, _, _, err := fleet.Fetch(m.t.Context(), m.node.Fleet(), document.LiveKey(target), nil, document.Parse[document.Release])
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// write writes what a node asks for to a key.
func (m *machine) write(key string, ask document.Ask) engine.Op {
	m.t.Helper()
	op, err := m.node.Fleet().Op(key, ask, nil, nil)
	if err == nil {
		_, err = m.server.Client("writer").Commit(m.t.Context(), nil, []engine.Op{op})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	return op
}

// answer returns the answer at a key.
func (m *machine) answer(key string) (document.Answer, bool) {
	a, _, found, err := fleet.Fetch(m.t.Context(), m.node.Fleet(), key, []string{"mx1", "mx2"}, document.Parse[document.Answer])
	return a, found && err == nil
}

// begin starts all nodes; mx1 sits, and has published two releases.
func (m *meeting) begin() (mx1, mx2, web *machine, first string) {
	mx1, mx2, web = m.machines["mx1"], m.machines["mx2"], m.machines["web"]
	mx1.start()
	time.Sleep(5 * time.Second)
	mx2.start()
	web.start()
	time.Sleep(5 * time.Second)
	first = mx1.publish()
	mx1.publish()
	time.Sleep(time.Second)
	return mx1, mx2, web, first
}

func (m *meeting) end() {
	for _, c := range m.machines {
		if c.stop != nil {
			c.stop()
		}
	}
}

// What is wanted on a node that may not order is done by the node that does.
func TestAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		m.machines["web"].refused("go "+target, "no node orders", "mx1, mx2")
		mx1, mx2, web, first := m.begin()
		defer m.end()
		web.must("hold -reason maintenance " + target)
		if r := mx1.release(); !r.Stopped || r.Held != "maintenance" || r.All {
			t.Errorf("hold: %+v", r)
		}
		mx2.must("go " + target)
		if r := mx1.release(); r.Stopped || !r.All {
			t.Errorf("go: %+v", r)
		}
		web.refused("hold "+target, "all nodes may deploy release 2", "fleet rollback")
		if out := web.must("rollback " + target); !strings.Contains(out, "release 3 has the certificate before release 2") {
			t.Errorf("%q", out)
		}
		if r := mx1.release(); r.Serial != 3 || r.Fingerprint != first || !r.All {
			t.Errorf("rollback: %+v; want %s", r, first)
		}
		web.refused("rollback b.example", "no certificate \"b.example\"", target)
		web.refused("rollback", "takes the names", "")
		web.refused("-reason x go "+target, "-reason for hold", "")
		web.refused("-force go "+target, "-force for rollback", "")
		mx1.node.target(renew.Target{Name: target, TLSA: []string{"_25._tcp." + target}, Resolver: records{}})
		mx2.refused("rollback "+target, "no name server answers", "fleet rollback -force "+target)
		mx2.must("rollback -force " + target)
		if s, err := m.server.Client("c").Read(t.Context(), "asks/"); err != nil || len(s.Entries) > 0 {
			t.Errorf("left: %v, %v", s.Entries, err)
		}
	})
}

// A certificate that was revoked is not the one before, where there are TLSA records or not.
func TestRollbackRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		mx1, _, web, first := m.begin()
		defer m.end()
		var r record.Record
		r.SetRevoked(first, time.Now())
		ok(t, new(record.Records).Save(mx1.node.o.Store, target, r))
		web.refused("rollback "+target, "it was revoked at 2026-12-01 12:00Z: clients that check this refuse it", "keypaird issue -new-key "+target)
		if r := mx1.release(); r.Serial != 2 {
			t.Errorf("rolled back: %+v", r)
		}
		web.must("rollback -force " + target)
	})
}

// An ask is of the node in its key, and of now.
func TestForgedAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		mx1, mx2, web, _ := m.begin()
		defer m.end()
		ask := document.Ask{Do: document.Rollback, At: time.Now(), Targets: map[string]uint64{target: 2}}
		key := document.AskKey("web", document.NewID())
		mx2.write(key, ask)
		if _, ok := web.answer(key); ok || mx1.release().Serial != 2 {
			t.Error("mx2 asked in the name of web")
		}
		ask.At = time.Now().Add(-document.AskFor - time.Second)
		key = document.AskKey("web", document.NewID())
		web.write(key, ask)
		if a, ok := web.answer(key); !ok || !strings.Contains(a.Error, "clock") || mx1.release().Serial != 2 {
			t.Errorf("an old ask: %+v, %v", a, ok)
		}
	})
}

// What is asked twice is done once.
func TestAskTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		mx1, _, web, first := m.begin()
		defer m.end()
		ask := document.Ask{Do: document.Rollback, At: time.Now(), Targets: map[string]uint64{target: 2}}
		key := document.AskKey("web", document.NewID())
		for range 2 {
			web.write(key, ask)
			a, ok := web.answer(key)
			if r := mx1.release(); !ok || a.Error != "" || len(a.Outcomes) != 1 || a.Outcomes[0].Error != "" || r.Serial != 3 || r.Fingerprint != first {
				t.Errorf("%+v, %v: %+v", a, ok, r)
			}
		}
		again := document.AskKey("web", document.NewID())
		web.write(again, ask) // of the same release
		a, ok := web.answer(again)
		if r := mx1.release(); !ok || len(a.Outcomes) != 1 || !strings.Contains(a.Outcomes[0].Error, "release 3 came meanwhile") || r.Serial != 3 {
			t.Errorf("%+v, %v: %+v", a, ok, r)
		}
		time.Sleep(document.AskFor + 2*rereadEvery)
		if s, err := m.server.Client("c").Read(t.Context(), "asks/"); err != nil || len(s.Entries) > 0 {
			t.Errorf("left: %v, %v", s.Entries, err)
		}
	})
}

// A node that dies before it answers leaves the answer to the next, which does nothing twice.
func TestAskTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		mx1, mx2, web, first := m.begin()
		defer m.end()
		mx1.client.Set(memory.Faults{Fail: func(c memory.Call) error {
			if slices.ContainsFunc(c.Ops, func(o engine.Op) bool { return strings.HasPrefix(o.Key, "asks/") }) {
				return errors.New("gone")
			}
			return nil
		}})
		key := document.AskKey("web", document.NewID())
		web.write(key, document.Ask{Do: document.Rollback, At: time.Now(), Targets: map[string]uint64{target: 2}})
		mx1.client.Kill()
		time.Sleep(45 * time.Second)
		a, ok := web.answer(key)
		if r := mx2.release(); !ok || len(a.Outcomes) != 1 || r.Serial != 3 || r.Fingerprint != first {
			t.Errorf("%+v, %v: %+v", a, ok, r)
		}
		if !mx2.node.Fleet().Seat().Mine {
			t.Error("mx2 does not sit")
		}
		web.must("rollback " + target)
		if r := mx2.release(); r.Serial != 4 {
			t.Errorf("%+v", r)
		}
	})
}

// A node that is shut out opens nothing new, and what it had is ordered anew if its key is
// in wrong hands.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t)
		mx1, mx2, web, _ := m.begin()
		mx2.refused("remove web", `[fleet.nodes] still has "web"`, "take its line out")
		m.end()
		time.Sleep(time.Minute)
		web.stop = nil
		delete(m.lines, "web")
		m.configure()
		mx1.start()
		mx2.start()
		defer m.end()
		time.Sleep(10 * time.Second)
		if out := mx2.must("remove web"); !strings.Contains(out, "web: removed") || mx1.issued != nil {
			t.Errorf("%q, %q", out, mx1.issued)
		}
		e, err := engine.ReadKey(t.Context(), m.server.Client("c"), document.PairKey(target, "v000002"))
		if err != nil {
			t.Fatal(err)
		}
		message, err := mx1.node.Fleet().Members.Open(e.Value, mx1.node.Fleet().ID, e.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := envelope.Read(web.dir + "/state")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Unseal(message.Sealed); err == nil {
			t.Error("web can open it still")
		}
		if out := mx2.must("remove -compromised web"); !strings.Contains(out, target+": ") || !slices.Equal(mx1.issued, []string{"[a.example] true true"}) {
			t.Errorf("%q, %q", out, mx1.issued)
		}
		if out := mx2.must("remove -compromised other"); !strings.Contains(out, "removed") || len(mx1.issued) != 1 {
			t.Errorf("%q, %q", out, mx1.issued)
		}
		password := mx2.dir + "/password"
		if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		m.user = fmt.Sprintf("password_file = %q\n", password)
		m.configure()
		isScript := func(out string) {
			t.Helper()
			for line := range strings.Lines(out) {
				if !slices.ContainsFunc([]string{"# ", "export ", "etcdctl "}, func(s string) bool { return strings.HasPrefix(line, s) }) {
					t.Errorf("no line of a script: %s", line)
				}
			}
			if !strings.Contains(out, "\netcdctl user delete web\n") {
				t.Errorf("the node keeps its rights:\n%s", out)
			}
		}
		isScript(mx2.must("remove -compromised web"))
		mx1.held = "the record of its next key is not published"
		out, err := mx2.run("remove -compromised web")
		if err == nil || !strings.Contains(err.Error(), mx1.held) || strings.Contains(out, "removed,") {
			t.Errorf("%q, %v", out, err)
		}
		isScript(out)
	})
}
