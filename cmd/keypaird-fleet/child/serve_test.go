package child

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/testutil"
)

// converse has the program serve an input, which ends after n answers, and returns them.
func converse(t *testing.T, input string, n int) (answers []wire.Answer, err error) {
	t.Helper()
	in, hold := io.Pipe()
	go func() {
		_, _ = io.WriteString(hold, strings.TrimSpace(input))
		if input != "" {
			_, _ = io.WriteString(hold, "\n")
		}
		if n == 0 {
			hold.Close()
		}
	}()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := serve(t.Context(), "means", in, w)
		in.Close()
		w.Close()
		ended <- err
	}()
	lines := wire.NewReader(r)
	for {
		var a wire.Answer
		if _, err := lines.Next(&a); err != nil {
			return answers, <-ended
		}
		if answers = append(answers, a); len(answers) == n {
			hold.Close()
		}
	}
}

// Whatever keypaird says, each request has one answer, or the program ends.
func TestInput(t *testing.T) {
	open := `{"id":1,"open":{"endpoints":["http://127.0.0.1:1"],"prefix":"/p/"}}` + "\n"
	for _, tt := range []struct{ name, input, want, err string }{
		{"nothing", "", "", ""},
		{"settings", open, "1 means", ""},
		{"no settings", `{"id":1,"read":{"prefix":"a"}}`, "1 keypaird-fleet has too many requests or no settings", ""},
		{"wrong settings", `{"id":1,"open":{}}`, "1 the engine has no endpoints or no prefix", ""},
		{"settings of two kinds", `{"id":1,"open":{"endpoints":["https://a:1","http://b:1"],"prefix":"/p/"}}`, "1 some endpoints of the engine have TLS and some have not", ""},
		{"settings of two kinds, in turn", `{"id":1,"open":{"endpoints":["http://a:1","https://b:1"],"prefix":"/p/"}}`, "1 some endpoints of the engine have TLS and some have not", ""},
		{"no CA", `{"id":1,"open":{"endpoints":["https://a:1"],"prefix":"/p/","ca":"eA=="}}`, "1 there is no certificate in the file of the engine's CA", ""},
		{"no request", open + `{"id":2}`, "1 means, 2 keypaird-fleet does not know the request", ""},
		{"a later request", open + `{"id":2,"fly":true}`, "1 means, 2 keypaird-fleet does not know the request", ""},
		{"about none", open + `{"id":2,"take":true}` + "\n" + `{"id":3,"cancel":true}`, "1 means", ""},
		{"garbage", open + "hello", "1 means", "reading a request: invalid character 'h' looking for beginning of value"},
		{"a long line", strings.Repeat("x", wire.MaxLine+1), "", "reading a request: a line is longer than 4194304 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answers, err := converse(t, tt.input, strings.Count(tt.want, ", ")+min(len(tt.want), 1))
			var got []string
			for _, a := range answers {
				text := a.Means
				if a.Failure != nil {
					text = a.Failure.Text
				}
				got = append(got, fmt.Sprintf("%d %s", a.ID, text))
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if strings.Join(got, ", ") != tt.want || text != tt.err {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A restore is noticed by an older revision than was there before the request was sent.
func TestHistory(t *testing.T) {
	at := func(cluster uint64, revision int64) *pb.ResponseHeader {
		return &pb.ResponseHeader{ClusterId: cluster, Revision: revision}
	}
	for _, tt := range []struct {
		name string
		do   func(h *history)
		gap  bool
	}{
		{"growing", func(h *history) { h.linearizable(at(1, 5), h.before()); h.linearizable(at(1, 6), h.before()) }, false},
		{"the same", func(h *history) { h.linearizable(at(1, 5), h.before()); h.linearizable(at(1, 5), h.before()) }, false},
		{"older", func(h *history) { h.linearizable(at(1, 5), h.before()); h.linearizable(at(1, 4), h.before()) }, true},
		{"older than a change", func(h *history) { h.seen(9); h.linearizable(at(1, 8), h.before()) }, true},
		{"sent before", func(h *history) {
			before := h.before()
			h.seen(9)
			h.linearizable(at(1, 8), before)
		}, false},
		{"another cluster", func(h *history) { h.linearizable(at(1, 5), h.before()); h.linearizable(at(2, 50), h.before()) }, true},
	} {
		var h history
		ctx, done := h.follow(t.Context(), "a")
		tt.do(&h)
		if got := context.Cause(ctx) == engine.ErrGap; got != tt.gap {
			t.Errorf("%s: %v", tt.name, context.Cause(ctx))
		}
		done()
		if _, any := h.following(); any {
			t.Errorf("%s: follows still", tt.name)
		}
	}
}

// Changes of one revision are sent in one line.
func TestFittingRevisions(t *testing.T) {
	for _, tt := range []struct {
		sizes, revisions []int
		want             int
	}{
		{[]int{1, 1, 1}, []int{1, 1, 2}, 3},
		{[]int{lineSize, 1, 1}, []int{1, 2, 3}, 1},
		{[]int{lineSize, 1, 1}, []int{1, 1, 3}, 2},
		{[]int{1, lineSize / 2, lineSize / 2, 1}, []int{1, 2, 2, 3}, 1},
		{[]int{lineSize / 2, lineSize / 3, lineSize / 3}, []int{1, 1, 1}, 3},
	} {
		var entries []engine.Entry
		for i, size := range tt.sizes {
			entries = append(entries, engine.Entry{Value: make([]byte, size), Revision: engine.Revision(tt.revisions[i])})
		}
		if got := fittingRevisions(entries); got != tt.want {
			t.Errorf("%v: %d, want %d", tt, got, tt.want)
		}
	}
}

// A queue holds one change of any size, and else no more than the limit.
func TestQueue(t *testing.T) {
	q := &queue{wake: make(chan struct{}, 1)}
	large := []engine.Entry{{Value: make([]byte, maxBehind+1)}}
	if !q.put(large) || q.put([]engine.Entry{{Key: "a"}}) {
		t.Error("bounds")
	}
	q.fail(&wire.Failure{Kind: wire.Gap})
	if got, f := q.take(t.Context()); len(got) != 1 || f != nil {
		t.Errorf("first %v, %v", got, f)
	}
	if got, f := q.take(t.Context()); got != nil || f == nil {
		t.Errorf("then %v, %v", got, f)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if got, f := (&queue{wake: make(chan struct{})}).take(ctx); got != nil || f != nil {
		t.Errorf("at the end %v, %v", got, f)
	}
}

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
