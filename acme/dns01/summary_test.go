package dns01

import (
	"testing"
	"time"
)

// A server that answered without the record is not skipped after one lost answer,
// but is if it stays silent.
func TestSummaryOfLostAnswers(t *testing.T) {
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
		{"visible after all", []state{silent, missing, visible}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			sum := summary{servers: []server{{"ns1.", []string{"a"}}, {"ns2.", []string{"b"}}}, graceEnd: now.Add(-time.Second)}
			sum.add(txtAnswer{server: 0, addr: "a", state: visible})
			for _, s := range tt.second {
				sum.add(txtAnswer{server: 1, addr: "b", state: s})
			}
			if got := sum.decided(now); got != tt.over {
				t.Errorf("no more waiting: %v, want %v", got, tt.over)
			}
		})
	}
}
