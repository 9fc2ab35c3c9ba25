package command

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// However many targets change at once, the command is run, and told how many of
// them it is not told.
func TestManyNames(t *testing.T) {
	names := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("%05d.%s.test", i, strings.Repeat("x", 60)))
		}
		return list
	}
	each := len(names(1)[0]) + 1
	for _, tt := range []struct {
		name         string
		total, named int
	}{
		{"as many as fit", (MaxNames + 1) / each, (MaxNames + 1) / each},
		{"one more", (MaxNames+1)/each + 1, (MaxNames + 1) / each},
		{"10,000", 10_000, (MaxNames + 1) / each},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			told := filepath.Join(safeDir(t), "told")
			c := Command{Argv: []string{script(t, `echo "${KEYPAIRD_MORE-none} $KEYPAIRD_NAMES" >`+told)}, Log: textLog(&log)}
			if err := c.Run(t.Context(), Event{Kind: EventDeploy, Names: names(tt.total)}); err != nil {
				t.Fatal(err)
			}
			more := "none"
			if n := tt.total - tt.named; n > 0 {
				more = strconv.Itoa(n)
			}
			if got, want := text(t, told), more+" "+strings.Join(names(tt.named), " ")+"\n"; got != want {
				t.Errorf("told %.80q ... %d bytes, want %.80q ... %d bytes", got, len(got), want, len(want))
			}
			if warned := strings.Contains(log.String(), "left_out="+more); warned != (more != "none") {
				t.Errorf("log = %.300s", log.String())
			}
		})
	}
}
