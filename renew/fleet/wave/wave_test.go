package wave

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/problem"
)

var (
	start = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	rules = Rules{Waves: []string{"1", "25%", "100%"}}
)

// parse reads nodes in their order: "a=ok b=2 c=away d" is one that verified, one that
// failed twice, one that is not alive for two minutes, and one that did nothing yet. With
// "just" a node is away for a moment.
func parse(text string) (nodes []Node) {
	for word := range strings.FieldsSeq(text) {
		name, what, _ := strings.Cut(word, "=")
		n := Node{Name: name}
		switch what {
		case "":
		case "ok":
			n.Verified = true
		case "away":
			n.Away = patience
		case "okaway":
			n.Away, n.Verified = patience, true
		case "just":
			n.Away = time.Second
		default:
			n.Err = "no such directory"
			fmt.Sscan(what, &n.Failures)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		wave string
		n    int
		want int
	}{
		{"1", 5, 1}, {"3", 2, 2}, {"25%", 200, 50}, {"25%", 5, 2}, {"25%", 1, 1}, {"100%", 7, 7}, {"1%", 3, 1}, {"1", 0, 0},
		{"0", 5, 5}, {"0%", 5, 5}, {"101%", 5, 5}, {"-1", 5, 5}, {"", 5, 5}, {"all", 5, 5}, {"1.5", 5, 5}, {"%", 5, 5},
	} {
		if got := (Rules{Waves: []string{tt.wave}}).size(0, tt.n); got != tt.want {
			t.Errorf("%q of %d nodes: %d, want %d", tt.wave, tt.n, got, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct{ waves, want string }{
		{"1 25% 100%", ""}, {"100%", ""}, {"1 5 100%", ""}, {"10% 50% 100%", ""},
		{"", `"100%"`}, {"1 25%", "never deploy"}, {"1 25 100", "never deploy"},
		{"25% 10% 100%", "not larger"}, {"5 5 100%", "not larger"}, {"10% 25 100%", `did you mean "25%"?`},
		{"0 100%", "neither"}, {"-1 100%", "neither"}, {"1 % 100%", "neither"}, {"1.5 100%", "neither"}, {"all", "neither"}, {"+1 100%", "neither"}, {"1 150%", "more than all"},
		{"99999999999999999999 100%", "neither"},
	} {
		err := Check(strings.Fields(tt.waves))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error()+" -> "+problem.Remedy(err), tt.want) {
			t.Errorf("%q: %v -> %s; want %q", tt.waves, err, problem.Remedy(err), tt.want)
		}
		if err != nil && problem.Remedy(err) == "" {
			t.Errorf("%q: no remedy", tt.waves)
		}
	}
}

func TestFirst(t *testing.T) {
	for _, tt := range []struct {
		name, nodes string
		waves       []string
		urgent      bool
		want        string // nodes; "*": all
	}{
		{"first of the order", "c b a", rules.Waves, false, "c"},
		{"first that is alive", "c=away b=just a", rules.Waves, false, "a"},
		{"nobody is alive", "a=away b=away", rules.Waves, false, ""},
		{"one node", "a", rules.Waves, false, "*"},
		{"one node, away", "a=away", rules.Waves, false, "*"},
		{"nobody deploys it", "", rules.Waves, false, "*"},
		{"two at first", "a b c d", []string{"2", "100%"}, false, "a b"},
		{"all at once", "a b c", []string{"100%"}, false, "*"},
		{"no waves", "a b c", nil, false, "*"},
		{"a wave that cannot be read", "a b c", []string{"some"}, false, "*"},
		{"urgent", "a b c", rules.Waves, true, "*"},
	} {
		r := First(start, Rules{Waves: tt.waves}, document.Release{Serial: 1, Held: "before"}, parse(tt.nodes), tt.urgent)
		got := strings.Join(r.Nodes, " ")
		if r.All {
			got = "*"
		}
		if got != tt.want || r.Held != "" || !r.At.Equal(start) {
			t.Errorf("%s: %+v, want %q", tt.name, r, tt.want)
		}
	}
}

func TestNext(t *testing.T) {
	named := func(names ...string) document.Release { return document.Release{Nodes: names, At: start} }
	wave1 := func(names ...string) document.Release { return document.Release{Wave: 1, Nodes: names, At: start} }
	all := document.Release{All: true, At: start}
	held := func(r document.Release) document.Release { r.Held = "x: failed"; return r }
	stopped := func(r document.Release) document.Release { r.Held, r.Stopped = "by a person", true; return r }
	now := start.Add(2 * time.Hour)
	for _, tt := range []struct {
		name    string
		release document.Release
		nodes   string
		bake    time.Duration
		since   time.Duration // after start; 0: never
		urgent  bool
		want    string // nodes; "*": all; "=": no change
		held    string // begins with
	}{
		{name: "canary works on it", release: named("a"), nodes: "a b c d e f g h", want: "="},
		{name: "canary verified", release: named("a"), nodes: "a=ok b c d e f g h", want: "a b"},
		{name: "few nodes", release: named("a"), nodes: "a=ok b c", want: "*"},
		{name: "the second wave works on it", release: wave1("a", "b"), nodes: "a=ok b c d e f g h", want: "="},
		{name: "the second wave verified", release: wave1("a", "b"), nodes: "a=ok b=ok c d e f g h", want: "*"},
		{name: "nodes that are away are skipped", release: named("a"), nodes: "a=ok b=away c=just d e f g h", want: "a d"},
		{name: "all others are away", release: named("a"), nodes: "a=ok b=away c=away d=away e=away f=away g=away h=away", want: "*"},
		{name: "canary failed", release: named("a"), nodes: "a=1 b c", want: "=", held: "a: no such"},
		{name: "canary failed twice", release: held(named("a")), nodes: "a=2 b c", want: "=", held: "a: no such"},
		{name: "canary failed three times", release: held(named("a")), nodes: "a=3 b c", want: "a b"},
		{name: "the next works on it", release: named("a", "b"), nodes: "a=4 b c", want: "="},
		{name: "the next verified", release: named("a", "b"), nodes: "a=4 b=ok c d e f g h", want: "a b c"},
		{name: "the next failed", release: named("a", "b"), nodes: "a=4 b=1 c", want: "=", held: "b: "},
		{name: "the next failed three times", release: named("a", "b"), nodes: "a=4 b=3 c d", want: "=", held: "a: "},
		{name: "no other is alive", release: named("a"), nodes: "a=3 b=away c=away", want: "=", held: "a: "},
		{name: "fixed", release: held(named("a")), nodes: "a=ok b c d e f g h", want: "a b"},
		{name: "tried again", release: held(named("a")), nodes: "a b c", want: "="},
		{name: "canary died a moment ago", release: named("a"), nodes: "a=just b c", want: "="},
		{name: "canary died", release: named("a"), nodes: "a=away b c", want: "a b"},
		{name: "canary died, the next verified", release: named("a", "b"), nodes: "a=away b=ok c d e f g h", want: "a b c"},
		{name: "canary verified and died", release: named("a"), nodes: "a=okaway b c d e f g h", want: "a b"},
		{name: "canary failed and died", release: held(named("a")), nodes: "a=away b c", want: "a b"},
		{name: "all died", release: named("a"), nodes: "a=away b=away c=away", want: "="},
		{name: "canary left the fleet", release: named("z"), nodes: "a b c", want: "a z"},
		{name: "to bake", release: named("a"), nodes: "a=ok b c", bake: time.Hour, want: "="},
		{name: "half baked", release: named("a"), nodes: "a=ok b c", bake: time.Hour, since: 90 * time.Minute, want: "="},
		{name: "baked", release: named("a"), nodes: "a=ok b c", bake: time.Hour, since: time.Hour, want: "*"},
		{name: "failed while it was watched", release: named("a"), nodes: "a=1 b c", bake: time.Hour, since: time.Hour, want: "=", held: "a: "},
		{name: "urgent", release: named("a"), nodes: "a b c", urgent: true, want: "*"},
		{name: "urgent and failed", release: held(named("a")), nodes: "a=1 b c", urgent: true, want: "*"},
		{name: "urgent and held by a person", release: stopped(named("a")), nodes: "a b c", urgent: true, want: "*"},
		{name: "held by a person", release: stopped(named("a")), nodes: "a=ok b c", want: "=", held: "by a person"},
		{name: "for all", release: all, nodes: "a=3 b=1 c", want: "="},
		{name: "one in ten may fail", release: wave1("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"),
			nodes: "a=3 b=9 c=ok d=ok e=ok f=ok g=ok h=ok i=ok j=ok k=ok l=ok m=ok n=ok o=ok p=ok q=ok r=ok s=ok t=ok u=away", want: "*"},
		{name: "two in ten may not", release: wave1("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"),
			nodes: "a=3 b=9 c=ok d=ok e=ok f=ok g=ok h=ok i=ok j=ok k", want: "=", held: "a: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var since time.Time
			if tt.since != 0 {
				since = start.Add(tt.since)
			}
			before := slices.Clone(tt.release.Nodes)
			got, _ := Next(now, Rules{rules.Waves, tt.bake}, tt.release, parse(tt.nodes), tt.urgent, since)
			nodes := strings.Join(got.Nodes, " ")
			if got.All {
				nodes = "*"
			}
			if reflect.DeepEqual(got.Nodes, before) && got.All == tt.release.All {
				nodes = "="
			}
			if nodes != tt.want || !strings.HasPrefix(got.Held, tt.held) || tt.held == "" && got.Held != "" {
				t.Errorf("Next = %+v, want %q, held %q", got, tt.want, tt.held)
			}
			if want := map[bool]time.Time{true: start, false: now}[nodes == "="]; !got.At.Equal(want) {
				t.Errorf("the wave began at %v", got.At)
			}
			if !slices.Equal(before, tt.release.Nodes) {
				t.Error("the release that was given has changed")
			}
		})
	}
}

// With healthy nodes every release comes to all, each node is named once, and no wave is
// larger than its rule.
func TestAllWaves(t *testing.T) {
	for n := range 40 {
		var nodes []Node
		for i := range n {
			nodes = append(nodes, Node{Name: fmt.Sprintf("n%02d", i)})
		}
		r := First(start, rules, document.Release{Serial: 1}, nodes, false)
		var sizes []int
		for steps := 0; !r.All; steps++ {
			sizes = append(sizes, len(r.Nodes))
			if steps > 3 {
				t.Fatalf("%d nodes: waves of %v", n, sizes)
			}
			for i := range nodes {
				nodes[i].Verified = slices.Contains(r.Nodes, nodes[i].Name)
			}
			r, _ = Next(start, rules, r, nodes, false, time.Time{})
		}
		if len(sizes) > 1 && sizes[0] != 1 || len(sizes) > 1 && sizes[1] > (n+3)/4 {
			t.Errorf("%d nodes: waves of %v", n, sizes)
		}
	}
}

func TestPerson(t *testing.T) {
	r := document.Release{Nodes: []string{"a"}, At: start}
	r = Hold(r, "by a person")
	if !r.Stopped || r.Held == "" || Allows(r, "b") || !Allows(r, "a") {
		t.Errorf("held: %+v", r)
	}
	if r = Go(start, r); !r.All || r.Held != "" || r.Stopped || !Allows(r, "b") {
		t.Errorf("let go: %+v", r)
	}
	if again := Hold(r, "too late"); again.Held != "" {
		t.Errorf("held: %+v", again)
	}
}
