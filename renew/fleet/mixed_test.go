package fleet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/problem"
)

// A newer is the engine of a node with a later version, which writes fields that this
// version does not know, into each message and its body.
type newer struct {
	engine.Engine
	key *envelope.Identity

	mu      sync.Mutex
	written map[string][]byte // what was written in place of a value
}

const future = `"of_the_future":{"a":[1,2],"format":7}`

func (n *newer) Commit(ctx context.Context, conditions []engine.Condition, do []engine.Op) (engine.Revision, error) {
	conditions, do = slices.Clone(conditions), slices.Clone(do)
	n.mu.Lock()
	for i, op := range do {
		if strings.HasPrefix(string(op.Value), "{") {
			do[i].Value = n.grown(op.Value)
		}
	}
	for i, c := range conditions {
		if now, ok := n.written[string(c.Value)]; ok {
			conditions[i].Value = now
		}
	}
	n.mu.Unlock()
	return n.Engine.Commit(ctx, conditions, do)
}

// grown returns an envelope with more fields.
func (n *newer) grown(value []byte) []byte {
	if now, ok := n.written[string(value)]; ok {
		return now
	}
	var e map[string]string
	if err := json.Unmarshal(value, &e); err != nil {
		panic(err)
	}
	payload := strings.Replace(e["payload"], `"body":{`, `"body":{`+future+`,`, 1)
	payload = strings.Replace(payload, "{", "{"+future+",", 1)
	payload = strings.ReplaceAll(payload, ",}", "}")
	e["payload"], e["later"] = payload, "unsigned"
	e["signature"] = base64.StdEncoding.EncodeToString(ed25519.Sign(n.sign(), []byte("keypaird fleet envelope 1\x00"+payload)))
	now, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	n.written[string(value)] = now
	return now
}

func (n *newer) sign() ed25519.PrivateKey {
	_, rest, _ := strings.Cut(string(n.key.Marshal()), "ed25519-seed:")
	text, _, _ := strings.Cut(rest, "\n")
	seed, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

// Nodes of this version and one that writes more fields than it knows go on together,
// whichever of them sits.
func TestNewerNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		a := w.start("a", func(o *Options) {
			o.Engine = &newer{Engine: o.Engine, key: w.keys["a"], written: map[string][]byte{}}
		})
		b, c := w.start("b"), w.start("c")
		defer w.end()
		everywhere := func(serial uint64) {
			t.Helper()
			for _, n := range []*testNode{a, b, c} {
				time.Sleep(3 * time.Second)
				verified("x.example", serial, n)
			}
			time.Sleep(3 * time.Second)
			for _, n := range []*testNode{a, b, c} {
				p, r, err := n.Pair(t.Context(), "x.example")
				if err != nil || p.Fingerprint() != r.Fingerprint || r.Serial != serial || !r.All {
					t.Errorf("%s: release %+v, %v", n.Node, r, err)
				}
			}
		}
		w.takenBy("a")
		everywhere(w.publish(a, "x.example"))
		for _, key := range []string{"live/x.example", "pairs/x.example/v000001", "nodes/a/alive", "nodes/a/report"} {
			if n := bytes.Count(w.read(key), []byte("of_the_future")); n != 2 {
				t.Errorf("%s has %d fields of the future", key, n)
			}
		}
		t.Log("an older one sits")
		term, err := a.Term()
		if err != nil || !term.StandUp("asked to", "", 10*time.Minute) {
			t.Fatal(err)
		}
		w.takenBy("b")
		everywhere(w.publish(b, "x.example"))
		if term, err = b.Term(); err != nil {
			t.Fatal(err)
		}
		r, err := b.Rollback(t.Context(), term, "x.example", nil) // to what the newer one wrote
		if err != nil || r.Serial != 3 {
			t.Errorf("%+v, %v", r, err)
		}
		everywhere(3)
		t.Log("the newer one sits again")
		b.stop()
		<-b.stopped
		time.Sleep(15 * time.Minute)
		b = w.start("b")
		if term, err = c.Term(); err == nil {
			term.StandUp("asked to", "", 10*time.Minute)
		}
		w.takenBy("a")
		everywhere(w.publish(a, "x.example"))
	})
}

// Each body is read as if fields that this version does not know were not there.
func TestNewerBodies(t *testing.T) {
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	check := func(name string, body any, parse func([]byte) (any, error)) {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		data = append([]byte("{"+future+","), data[1:]...)
		data = bytes.Replace(data, []byte(",}"), []byte("}"), 1)
		if got, err := parse(data); err != nil || !reflect.DeepEqual(got, body) {
			t.Errorf("%s: %+v, %v\nwant %+v\n%s", name, got, err, body, data)
		}
	}
	check("release", document.Release{Serial: 1, Version: "v000001", Fingerprint: strings.Repeat("a", 64), NotAfter: at, At: at, All: true}, func(b []byte) (any, error) { return document.Parse[document.Release](b) })
	check("pair", document.Pair{Chain: "x", Recipients: "y", Sealed: document.Sealed{Nodes: []string{"a"}}}, func(b []byte) (any, error) { return document.Parse[document.Pair](b) })
	check("record", document.Record{Ordering: json.RawMessage(`{"later":1}`)}, func(b []byte) (any, error) { return document.Parse[document.Record](b) })
	check("order", document.Order{Placed: true}, func(b []byte) (any, error) { return document.Parse[document.Order](b) })
	check("account", document.Account{Parts: map[string][]byte{"key.pem": {1}, "later": {2}}}, func(b []byte) (any, error) { return document.Parse[document.Account](b) })
	check("order log", document.OrderLog{Lines: []string{"x"}}, func(b []byte) (any, error) { return document.Parse[document.OrderLog](b) })
	check("counts", document.Counts{Orders: []document.Count{{At: at, N: 1}}}, func(b []byte) (any, error) { return document.Parse[document.Counts](b) })
	check("token", document.Token{KeyAuthorization: strings.Repeat("t", 43) + "." + strings.Repeat("k", 43)}, func(b []byte) (any, error) { return document.Parse[document.Token](b) })
	check("alive", document.Alive{Boot: "b", Version: "v9", Clock: at}, func(b []byte) (any, error) { return document.Parse[document.Alive](b) })
	check("report", document.Report{Revision: 1, Seen: at}, func(b []byte) (any, error) { return document.Parse[document.Report](b) })
	check("fleet", document.Fleet{ID: fleetID, Format: document.Format}, func(b []byte) (any, error) { return document.Parse[document.Fleet](b) })
}

// A fleet with a newer format is left alone, with a remedy, by nodes that run and by those
// that start; nothing that they have is lost, and when the format is as before they go on.
func TestNewerFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		w.order = []string{"a", "b"}
		a, b := w.start("a"), w.start("b")
		defer w.end()
		w.takenBy("a")
		w.publish(a, "x.example")
		time.Sleep(5 * time.Second)
		set := func(format int) {
			t.Helper()
			op, err := a.Op(document.FleetKey, document.Fleet{ID: fleetID, Format: format}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			w.write(op.Key, op.Value)
			time.Sleep(2 * time.Minute)
		}
		set(document.Format + 1)
		c := w.start("c")
		time.Sleep(time.Minute)
		for _, n := range []*testNode{a, b, c} {
			err := n.Seat().Err
			if err == nil || !strings.Contains(err.Error(), "has format 2, which a newer keypaird wrote; this one knows 1") || !strings.Contains(problem.Remedy(err), "same version of keypaird") {
				t.Errorf("%s: %v (%s)", n.Node, err, problem.Remedy(err))
			}
		}
		for _, n := range []*testNode{a, b} { // c has none yet
			if r, ok := n.Release("x.example"); !ok || r.Serial != 1 {
				t.Errorf("%s: release %+v", n.Node, r)
			}
			if _, err := n.Term(); err == nil {
				t.Errorf("%s may order", n.Node)
			}
		}
		before := w.server.Revision()
		time.Sleep(time.Hour)
		if now := w.server.Revision(); now != before {
			t.Errorf("%d changes of the engine in an hour", now-before)
		}
		set(document.Format)
		sits := w.seated()
		if sits == nil {
			t.Fatal("nobody sits")
		}
		if serial := w.publish(sits, "x.example"); serial != 2 {
			t.Errorf("serial %d", serial)
		}
		time.Sleep(time.Second)
		if _, r, err := b.Pair(t.Context(), "x.example"); err != nil || r.Serial != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
