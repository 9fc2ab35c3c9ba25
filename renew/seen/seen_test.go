package seen

import (
	"fmt"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A thousand deployments are each probed once a day, a few at a time.
func TestProbesAreSpreadOverTheDay(t *testing.T) {
	const n = 1000
	records := make([]Record, n)
	count, passes, most := make([]int, n), 0, 0
	for at := now; at.Before(now.Add(3 * day)); at = at.Add(5 * time.Minute) {
		together := 0
		for i := range records {
			if r := &records[i]; r.Due(fmt.Sprintf("cert%d nginx", i), at) {
				r.Observe(map[string]Endpoint{"x": {State: Served, At: at}}, false, at)
				together++
				count[i]++
			}
		}
		if together > 0 && at.Sub(now) > 0 { // all are due in the first pass
			passes++
			most = max(most, together)
		}
	}
	for i, times := range count {
		if times < 3 || times > 5 {
			t.Fatalf("deployment %d was probed %d times in three days", i, times)
		}
	}
	if most > 20 || passes > 3*int(day/slot)+1 {
		t.Errorf("%d together at most, in %d passes", most, passes)
	}
}

// What is lost is probed each hour, and a time in the future does not count.
func TestDue(t *testing.T) {
	lost := Record{ProbedAt: now, LostAt: now.Add(-day)}
	if lost.Due("x", now.Add(59*time.Minute)) || !lost.Due("x", now.Add(time.Hour)) {
		t.Error("what is lost is not probed each hour")
	}
	if !(Record{ProbedAt: now.Add(time.Hour)}).Due("x", now) {
		t.Error("after a wrong clock, nothing is probed")
	}
	if next := (Record{ProbedAt: now}).Next("x"); !next.After(now) || next.After(now.Add(day)) {
		t.Errorf("next probe at %v", next)
	}
}

func TestExpects(t *testing.T) {
	for _, tt := range []struct {
		name          string
		e             Endpoint
		host, address string
		want          bool
	}{
		{"never probed", Endpoint{}, "a", "", false},
		{"served", Endpoint{State: Served}, "a", "", true},
		{"served, another is not", Endpoint{State: Served, Error: "b", Absent: []string{"b"}}, "a", "", true},
		{"is not served, as before", Endpoint{State: Served, Error: "b", Absent: []string{"b"}}, "b", "", false},
		{"is not served at one address", Endpoint{State: Served, Absent: []string{"b at 192.0.2.1"}}, "b", "192.0.2.1", false},
		{"is served at the other", Endpoint{State: Served, Absent: []string{"b at 192.0.2.1"}}, "b", "192.0.2.2", true},
		{"is served at no address", Endpoint{State: Served, Absent: []string{"b"}}, "b", "192.0.2.2", false},
		{"which are absent is not known", Endpoint{State: Served, Error: "b"}, "b", "", false},
		{"failing", Endpoint{State: Failing, Error: "a"}, "a", "", true},
		{"absent", Endpoint{State: Absent, Error: "a"}, "a", "", false},
	} {
		if got := tt.e.Expects(tt.host, tt.address); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// When something was last seen, and since when it is not, is kept over many probes.
func TestObserve(t *testing.T) {
	var r Record
	at := func(hours int) time.Time { return now.Add(time.Duration(hours) * time.Hour) }
	observe := func(hours int, state string) Endpoint {
		r.Observe(map[string]Endpoint{"x": {State: state, At: at(hours)}}, state == Failing, at(hours))
		return r.Endpoints["x"]
	}
	observe(0, Served)
	if e := observe(1, Served); !e.Since.Equal(at(0)) || !e.ServedAt.IsZero() || !r.LostAt.IsZero() {
		t.Errorf("served: %+v", e)
	}
	observe(2, Failing)
	if e := observe(3, Failing); !e.Since.Equal(at(2)) || !e.ServedAt.Equal(at(1)) || !r.LostAt.Equal(at(2)) {
		t.Errorf("failing: %+v, lost at %v", e, r.LostAt)
	}
	if e := observe(4, Unreachable); e.State != Failing || !e.At.Equal(at(3)) {
		t.Errorf("unreachable: %+v", e)
	}
	if e := observe(5, Served); !e.Since.Equal(at(5)) || !e.ServedAt.IsZero() || !r.LostAt.IsZero() {
		t.Errorf("served again: %+v, lost at %v", e, r.LostAt)
	}
}

// A name that need not be served is not expected when a server that was stopped is back.
func TestAbsentWhileFailing(t *testing.T) {
	var r Record
	for _, e := range []Endpoint{{State: Served, Absent: []string{"b"}}, {State: Failing, Absent: []string{"b"}}, {State: Failing}, {State: Unreachable}} {
		r.Observe(map[string]Endpoint{"x": e}, e.State == Failing, now)
	}
	if x := r.Endpoints["x"]; x.Expects("b", "") || !x.Expects("a", "") || len(x.Absent) != 1 {
		t.Errorf("%+v", x)
	}
	r.Observe(map[string]Endpoint{"x": {State: Served}}, false, now)
	if !r.Endpoints["x"].Expects("b", "") {
		t.Error("a name that is served is not expected")
	}
}
