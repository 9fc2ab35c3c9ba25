package dns01

import (
	"testing"
	"time"
)

// A server that answered without the record is not passed over for one answer
// that is lost, but is when it stays silent.
func TestTallyOfLostAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		second []state // what the second of two servers shows, one after the other; the first shows the record
		over   bool
	}{
		{"it has answered", []state{missing}, false},
		{"one answer is lost", []state{missing, silent}, false},
		{"each second answer is lost", []state{missing, silent, missing, silent, missing, silent}, false},
		{"it goes down", []state{missing, silent, silent}, true},
		{"it comes back", []state{missing, silent, silent, missing}, false},
		{"silent once", []state{silent}, false},
		{"silent twice", []state{silent, silent}, true},
		{"shown after all", []state{silent, missing, shown}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			sum := tally{servers: []server{{"ns1.", []string{"a"}}, {"ns2.", []string{"b"}}}, fair: now.Add(-time.Second)}
			sum.add(sighting{0, "a", shown, ""})
			for _, s := range tt.second {
				sum.add(sighting{1, "b", s, ""})
			}
			if got := sum.verdict(now); got != tt.over {
				t.Errorf("no more waiting: %v, want %v", got, tt.over)
			}
		})
	}
}
