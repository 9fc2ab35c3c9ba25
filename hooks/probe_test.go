package hooks

import (
	"os"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/seen"
)

// What was served has to be served, by every later probe; nothing is changed for it.
func TestProbe(t *testing.T) {
	t.Parallel()
	p := good(t, plain, host)
	f := startFrail(t, p)
	at := f.d.Verify[0].String()
	probe := func(before seen.Endpoint) renew.Result {
		c := renew.Change{Name: plain, New: &keypair.Pair{Leaf: p.Leaf}, Seen: map[string]seen.Endpoint{at: before}}
		return f.d.Probe(t.Context(), []renew.Change{c})[0]
	}
	served := seen.Endpoint{State: seen.Served}
	if r := probe(served); r.Err != nil || r.Endpoints[at].State != seen.Served {
		t.Fatalf("served: %+v", r)
	}

	// One that fails for a moment is asked again.
	write(t, f.in("dead"), "")
	back := time.AfterFunc(300*time.Millisecond, func() { os.Remove(f.in("dead")) })
	if r := probe(served); r.Err != nil || r.Endpoints[at].State != seen.Served {
		t.Errorf("failed for a moment: %+v", r)
	}
	back.Stop()

	write(t, f.in("dead"), "")
	if r := probe(served); r.Err == nil || r.Endpoints[at].State != seen.Failing || r.Outcome == renew.Verified {
		t.Errorf("dead: %+v", r)
	}
	absent := seen.Endpoint{State: seen.Served, Error: "no", Absent: []string{plain, host}}
	r := probe(absent)
	if r.Err != nil || r.Endpoints[at].State != seen.Absent || len(r.Endpoints[at].Absent) != 2 {
		t.Errorf("dead, as before: %+v", r)
	}
	if ran, _ := os.ReadFile(f.ran); len(ran) > 0 {
		t.Errorf("a probe ran %q", ran)
	}
}
