package status

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/problem"
)

func TestResults(t *testing.T) {
	until := time.Date(2027, 2, 27, 9, 0, 0, 0, time.UTC)
	done := []renew.Done{
		{Target: "a", Action: renew.Issue, CA: "pebble", NotAfter: until, Why: "due"},
		{Target: "b", Action: renew.Deploy, NotAfter: until, Why: "stored but not deployed"},
		{Target: "c", Action: renew.Issue, CA: renew.NameOfExternal, NotAfter: until, Why: "its files changed"},
	}
	rows := ResultsOf(done, []error{
		&renew.TargetError{Targets: []string{"b", "d"}, Step: "deploying to nginx", Err: problem.New("no such file", "create it")},
		context.Canceled,
	}, func(target string) (time.Duration, bool) { return 1234 * time.Millisecond, target != "c" })
	var lines strings.Builder
	if err := rows.WriteText(&lines); err != nil {
		t.Fatal(err)
	}
	if want := `a: issued by pebble, valid until 2027-02-27T09:00:00Z; why: due
b: deployed, valid until 2027-02-27T09:00:00Z; why: stored but not deployed
c: imported from its files, valid until 2027-02-27T09:00:00Z; why: its files changed
`; lines.String() != want {
		t.Errorf("%s\nwant\n%s", lines.String(), want)
	}
	want := `a  issued    1.2 s  by pebble, until 2027-02-27; why: due
b  failed    1.2 s  deploying to nginx; deployed, until 2027-02-27; why: stored but not deployed
  no such file
  remedy: create it
c  imported         from its files, until 2027-02-27; why: its files changed
d  failed    1.2 s  deploying to nginx
  no such file
  remedy: create it
`
	if got := rows.Table(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	shared := append(rows[1:2:2], rows[3])
	if got := strings.Count(shared.Table(), "no such file"); got != 1 {
		t.Errorf("an error of two targets is printed %d times", got)
	}
	text, err := json.Marshal(append(rows[:2:2], rows[3:]...))
	if err != nil {
		t.Fatal(err)
	}
	want = `[{"target":"a","action":"issue","ca":"pebble","not_after":"2027-02-27T09:00:00Z","why":"due","ok":true,"seconds":1.2},` +
		`{"target":"b","action":"deploy","not_after":"2027-02-27T09:00:00Z","why":"stored but not deployed","ok":false,"step":"deploying to nginx","error":"no such file","remedy":"create it","seconds":1.2},` +
		`{"target":"d","action":"none","ok":false,"step":"deploying to nginx","error":"no such file","remedy":"create it","seconds":1.2}]`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
	if text, _ := json.Marshal(ResultsOf(nil, nil, nil)); strings.TrimSpace(string(text)) != "[]" {
		t.Errorf("nothing done: %s", text)
	}
}
