package remote

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/enginetest"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// harness is that of a cluster whose users are those of a fleet.
func harness(c *etcdtest.Cluster) enginetest.Harness {
	settings := c.Settings("mx1")
	return enginetest.Harness{
		Client: func(t *testing.T) engine.Engine {
			e, _ := begin(t, with(settings), &testutil.Log{})
			return e
		},
		TTL:     3 * time.Second,
		Compact: func(t *testing.T, r engine.Revision) { c.Compact(int64(r)) },
		Kill: func(t *testing.T, e engine.Engine) {
			running(t, e).cmd.Signal(syscall.SIGKILL)
		},
		Hang: func(*testing.T) func() {
			for _, m := range c.Members {
				m.Freeze()
			}
			return func() {
				for _, m := range c.Members {
					m.Thaw()
				}
			}
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Users: true})
	c.AddUser("mx1", true)
	h := harness(c)
	h.Backup = func(*testing.T) func() {
		path := c.Backup()
		return func() { c.Restore(path) }
	}
	enginetest.Run(t, h)
}

// memberLimit is in which a member that froze is noticed: by a keep-alive, of 15 s, not by
// TCP, which takes a quarter of an hour. A busy machine takes longer for all else.
const memberLimit = 90 * time.Second

// A member that freezes or is killed is noticed, and the others serve.
func TestMembers(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Members: 3})
	e, _ := begin(t, with(c.Settings("any")), &testutil.Log{})
	other, _ := begin(t, with(c.Settings("any")), &testutil.Log{})
	ctx := t.Context()
	lease, err := e.Lease(ctx, memberLimit)
	testutil.Must(t, err)
	after, err := other.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("start"), Lease: lease.ID()}})
	testutil.Must(t, err)
	next, stop := iter.Pull2(e.Follow(ctx, []string{"live/"}, after))
	defer stop()
	for i, m := range c.Members {
		for _, disturb := range []struct {
			name     string
			do, undo func()
		}{{"frozen", m.Freeze, m.Thaw}, {"killed", m.Kill, m.Start}} {
			if i > 0 && disturb.name == "frozen" && !testutil.Exhaustive() {
				continue // it takes 15 s and more
			}
			disturb.do()
			value := fmt.Sprint(disturb.name, i)
			began := time.Now()
			testutil.Must(t, testutil.Within(memberLimit, func() error {
				_, err := other.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte(value)}})
				return err
			}))
			committed := time.Since(began)
			for got := ""; got != value; { // a commit whose answer was lost may have been seen already
				change, err, _ := next()
				testutil.Must(t, err)
				got = string(change.Value)
			}
			if d := time.Since(began); d > memberLimit {
				t.Errorf("member %d %s: seen after %v", i, disturb.name, d)
			} else {
				t.Logf("member %d %s: committed after %v, seen after %v", i, disturb.name, committed, d)
			}
			disturb.undo()
			time.Sleep(time.Second)
		}
	}
	select {
	case <-lease.Lost():
		t.Error("the lease is lost")
	default:
	}
}

// What goes wrong has a cause and a remedy.
func TestFailures(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Users: true})
	c.AddUser("mx1", true)
	c.Ctl("user", "add", "mx3:secret")
	c.Ctl("user", "grant-role", "mx3", "mx1")
	day := time.Now().Add(24 * time.Hour)
	named := etcdtest.Start(t, etcdtest.Options{Names: []string{"etcd.example"}})
	expired := etcdtest.Start(t, etcdtest.Options{NotAfter: time.Now().Add(-time.Hour)})
	foreign := etcdtest.NewCA(t)
	plain := func(s *wire.Settings) {
		s.Endpoints = []string{strings.Replace(c.Members[0].URL, "https://", "http://", 1)}
		s.CA, s.Cert, s.Key = nil, nil, nil
	}
	for _, tt := range []struct {
		name, want, remedy string
		change             func(s *wire.Settings)
	}{
		{"nothing wrong", "", "", func(*wire.Settings) {}},
		{"nobody listens", "https://127.0.0.1:1: connection refused", "start etcd there", func(s *wire.Settings) { s.Endpoints = []string{"https://127.0.0.1:1"} }},
		{"one of two listens", "", "", func(s *wire.Settings) { s.Endpoints = append(s.Endpoints, "https://127.0.0.1:1") }},
		{"another name", "its certificate is for etcd.example, and not for 127.", "write a name of the certificate", func(s *wire.Settings) { *s = named.Settings("any") }},
		{"another CA", "its certificate is of a CA that is not trusted", "name the certificate of that CA", func(s *wire.Settings) { s.CA = foreign.PEM }},
		{"an expired server", "its certificate is valid from ", "give etcd a certificate", func(s *wire.Settings) { *s = expired.Settings("any") }},
		{"no certificate", "it refuses a client without a certificate", "name in [fleet] tls", func(s *wire.Settings) { s.Cert, s.Key = nil, nil }},
		{"a client of another CA", `it refuses the client certificate "mx1", valid until`, "name in [fleet] tls", func(s *wire.Settings) { s.Cert, s.Key = foreign.Client(t, day, "mx1") }},
		{"an expired client", `it refuses the client certificate "mx1", valid until`, "name in [fleet] tls", func(s *wire.Settings) { s.Cert, s.Key = c.CA.Client(t, time.Now().Add(-time.Hour), "mx1") }},
		{"an unknown user", "the engine refuses /keypaird/test/live/a to the user mx9", "give that user its role", func(s *wire.Settings) { s.Cert, s.Key = c.CA.Client(t, day, "mx9") }},
		{"a password", "", "", func(s *wire.Settings) { s.User, s.Password = "mx3", "secret" }},
		{"a wrong password", "the engine refuses the user or the password", "compare both", func(s *wire.Settings) { s.User, s.Password = "mx3", "wrong" }},
		{"a password for a user without", "the engine refuses the user or the password", "compare both", func(s *wire.Settings) { s.User, s.Password = "mx1", "wrong" }},
		{"no TLS", "it does not speak HTTP/2 without TLS", "write https://", plain},
		{"no endpoint", `"10.0.0.1" is no endpoint of an engine`, "write https://HOST:2379", func(s *wire.Settings) { s.Endpoints = []string{"10.0.0.1"} }},
		{"a key of another certificate", "the client certificate for the engine: tls: private key does not match public key", "name a certificate and its key", func(s *wire.Settings) { s.Cert, _ = c.CA.Client(t, day, "mx1") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := c.Settings("mx1")
			tt.change(&s)
			var log testutil.Log
			e, _ := begin(t, with(s), &log)
			began := time.Now()
			_, err := e.Commit(t.Context(), nil, []engine.Op{{Key: "live/a", Value: []byte("hunter22")}})
			if d := time.Since(began); d > wire.Limit {
				t.Errorf("after %v", d)
			}
			switch {
			case tt.want == "":
				testutil.Must(t, err)
			case err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(problem.Remedy(err), tt.remedy):
				t.Errorf("%v\nremedy: %s", err, problem.Remedy(err))
			}
			if strings.Contains(log.String(), "hunter22") || err != nil && strings.Contains(err.Error(), "hunter22") {
				t.Errorf("a value is shown: %v, %s", err, &log)
			}
		})
	}
}

// A node that does not order may do what it must, and nothing else.
func TestRights(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Users: true})
	c.AddUser("mx1", true)
	c.AddUser("mx2", false)
	ctx := t.Context()
	holder, _ := begin(t, with(c.Settings("mx1")), &testutil.Log{})
	node, _ := begin(t, with(c.Settings("mx2")), &testutil.Log{})
	lease, err := holder.Lease(ctx, 30*time.Second)
	testutil.Must(t, err)
	var all []engine.Op
	keys := []string{"accounts/ca", "asks/mx2/1", "fleet", "ledger/ca/set", "live/a", "nodes/mx1/alive", "orders/a/ca", "pairs/a/1", "records/a", "tokens/t"}
	for _, key := range keys {
		all = append(all, engine.Op{Key: key, Value: []byte("x")})
	}
	start, err := holder.Commit(ctx, nil, append(all, engine.Op{Key: "seat", Value: []byte("mx1 1"), Lease: lease.ID()}))
	testutil.Must(t, err)
	reads, writes := map[string]bool{}, map[string]bool{}
	for _, key := range append(keys, "seat", "nodes/mx2/alive", "asks/mx1/1") {
		_, err := node.Read(ctx, key)
		reads[key] = err == nil
		_, err = node.Commit(ctx, nil, []engine.Op{{Key: key, Value: []byte("y")}})
		if writes[key] = err == nil; err != nil && !strings.Contains(err.Error(), "refuses /keypaird/test/"+key+" to the user mx2") {
			t.Errorf("%s: %v", key, err)
		}
	}
	may := func(m map[string]bool) (list []string) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if m[key] {
				list = append(list, key)
			}
		}
		return list
	}
	if got, want := may(reads), []string{"asks/mx2/1", "fleet", "live/a", "nodes/mx1/alive", "nodes/mx2/alive", "pairs/a/1", "seat", "tokens/t"}; !slices.Equal(got, want) {
		t.Errorf("reads %q, want %q", got, want)
	}
	if got, want := may(writes), []string{"asks/mx2/1", "nodes/mx2/alive"}; !slices.Equal(got, want) {
		t.Errorf("writes %q, want %q", got, want)
	}
	for _, prefixes := range [][]string{{""}, {"orders/"}, {"live/", "orders/"}} {
		for change, err := range node.Follow(ctx, prefixes, start-1) {
			if err == nil || !strings.Contains(err.Error(), "to the user mx2") {
				t.Errorf("follow %q: %v, %v", prefixes, change, err)
			}
			break
		}
	}
	if _, err := running(t, node).ask(ctx, wire.Request{End: lease.ID()}); err == nil || !strings.Contains(err.Error(), "to the user mx2") {
		t.Errorf("ending the seat's lease: %v", err)
	}
	if _, err := node.Commit(ctx, []engine.Condition{{Key: "seat", Value: []byte("mx1 1")}}, []engine.Op{{Key: "live/a", Value: []byte("y")}}); err == nil {
		t.Error("wrote with the fence of another")
	}
	if s, err := holder.Read(ctx, "seat"); err != nil || string(s.Entries[0].Value) != "mx1 1" {
		t.Errorf("the seat: %v, %v", s, err)
	}
}

// An engine without space still reads, follows and renews.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Flags: []string{"--quota-backend-bytes", "2000000"}})
	e, _ := begin(t, with(c.Settings("any")), &testutil.Log{})
	ctx := t.Context()
	lease, err := e.Lease(ctx, 3*time.Second)
	testutil.Must(t, err)
	value := make([]byte, 200<<10)
	var newest engine.Revision
	for range 100 {
		r, failed := e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: value}})
		if err = failed; err != nil {
			break
		}
		newest = r
	}
	want := "the engine has no space left and takes no writes"
	if err == nil || err.Error() != want || !strings.Contains(problem.Remedy(err), "etcdctl defrag") {
		t.Errorf("full: %v, remedy %s", err, problem.Remedy(err))
	}
	if s, err := e.Read(ctx, "live/"); err != nil || len(s.Entries) != 1 {
		t.Errorf("read: %v", err)
	}
	for change, err := range e.Follow(ctx, []string{"live/"}, newest-1) {
		if err != nil || change.Revision != newest {
			t.Errorf("follow: %v", err)
		}
		break
	}
	if _, err := e.Commit(ctx, []engine.Condition{{Key: "live/a", Value: value}}, nil); err != nil {
		t.Errorf("a commit that sets nothing: %v", err)
	}
	before := lease.Renewed()
	time.Sleep(2 * time.Second)
	if !lease.Renewed().After(before) {
		t.Error("the lease is not renewed")
	}
	if _, err := e.Lease(ctx, 3*time.Second); err == nil || err.Error() != want {
		t.Errorf("lease: %v", err)
	}
	s, err := e.State(ctx)
	testutil.Must(t, err)
	if got := s.Endpoints[0]; !slices.Equal(got.Alarms, []string{"NOSPACE"}) || got.Size < 1_000_000 || got.Error != "" {
		t.Errorf("state: %+v", got)
	}
	c.Compact(int64(newest))
	c.Ctl("defrag")
	c.Ctl("alarm", "disarm")
	if _, err := e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("x")}}); err != nil {
		t.Errorf("after the remedy: %v", err)
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Members: 2, Users: true})
	c.AddUser("mx2", false)
	settings := c.Settings("mx2")
	settings.Endpoints = append(settings.Endpoints[:1], "https://127.0.0.1:1")
	e, _ := begin(t, with(settings), &testutil.Log{})
	s, err := e.State(t.Context())
	testutil.Must(t, err)
	first, second := s.Endpoints[0], s.Endpoints[1]
	if os.Getenv(etcdtest.Another) == "" && (first.Version == "" || first.Size == 0) { // newer ones tell only root
		t.Errorf("first endpoint: %+v", first)
	}
	if first.Error != "" || first.NotAfter.IsZero() || len(first.Alarms) > 0 {
		t.Errorf("first endpoint: %+v", first)
	}
	if second.Error != "connection refused" || second.Remedy == "" {
		t.Errorf("second endpoint: %+v", second)
	}
	if s.NotAfter.IsZero() || s.Members != 2 || !slices.Equal(s.Others, []string{c.Members[1].URL}) {
		t.Errorf("state: %+v", s)
	}
}

// Without a majority nothing is written or read, and nobody follows what stands still.
func TestNoMajority(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Members: 3})
	e, _ := begin(t, with(c.Settings("any")), &testutil.Log{})
	ctx := t.Context()
	lease, err := e.Lease(ctx, 10*time.Second)
	testutil.Must(t, err)
	after, err := e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("x")}})
	testutil.Must(t, err)
	ended := make(chan error)
	go func() {
		for _, err := range e.Follow(ctx, []string{"live/"}, after) {
			ended <- err
		}
	}()
	age := make(chan time.Duration, 1)
	go func() {
		<-lease.Lost()
		age <- time.Since(lease.Renewed())
	}()
	time.Sleep(time.Second)
	c.Members[0].Kill()
	c.Members[1].Kill()
	const want = "too few members of the engine are up to elect a leader"
	_, err = e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("y")}})
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasPrefix(problem.Remedy(err), "start the members that are down") {
		t.Errorf("commit: %v", err)
	}
	if _, err := e.Read(ctx, "live/"); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("read: %v", err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("follow: %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("follow goes on")
		go func() { <-ended }()
	}
	if age := <-age; age > 11*time.Second {
		t.Errorf("lost %v after it was renewed", age)
	}
	s, err := e.State(ctx)
	testutil.Must(t, err)
	if s.Endpoints[0].Error != "connection refused" || !strings.HasPrefix(s.Endpoints[2].Error, want) {
		t.Errorf("state: %+v", s.Endpoints)
	}
	c.Members[0].Start()
	testutil.Must(t, testutil.Within(20*time.Second, func() error {
		_, err := e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("z")}})
		return err
	}))
}
