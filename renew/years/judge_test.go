package years

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/loop"
	"keypaird/renew/notify"
	"keypaird/renew/renewtest"
	"keypaird/renew/testutil"
)

func TestTwoYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.Memory(t)
		store, err := keypair.Open(filepath.Join(dir, "state"))
		testutil.Must(t, err)
		defer store.Close()
		y := &years{
			t: t, store: store, born: time.Now().Round(0), issued: map[string][]stamp{}, pairs: map[string][]*keypair.Pair{}, windows: map[string]answer{},
			serves: map[string]*x509.Certificate{}, worst: map[string]float64{}, told: map[notify.Kind]int{},
		}
		y.awake = y.born
		y.logs = orderLogs{dir: filepath.Join(dir, "accounts"), clock: y.wall}
		var targets []renew.Target
		proxy := &renewtest.Server{Name: "relayd", Use: y.deploy}
		for name := range lives {
			targets = append(targets, y.target(name, proxy))
		}
		passes, records := 0, new(renew.Records)
		notifier := &notify.Notifier{Sender: y, Store: store, Records: records, Clock: y.wall, Log: slog.New(slog.DiscardHandler)}
		pass := &renew.Pass{
			Store: store, Records: records, Parallel: 4, Clock: y.wall,
			DeployWindow: threeInTheMorning, Log: slog.New(slog.DiscardHandler),
		}
		runner := &loop.Loop{
			Clock: y.wall, Log: slog.New(slog.DiscardHandler),
			Schedule: func(after time.Time) time.Time { return after.Add(day) }, // seldom, as it would make good what else goes wrong
			RunPass: func(ctx context.Context, due map[string]bool) map[string]time.Time {
				passes++
				var some []renew.Target
				for _, target := range targets {
					if due == nil || due[target.Name] {
						some = append(some, target)
					}
				}
				report := pass.Run(ctx, some)
				notifier.Notify(ctx, &report)
				return report.Next
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		var daemon sync.WaitGroup
		daemon.Go(func() { runner.Run(ctx) })
		y.live(730, fates())
		stop()
		daemon.Wait()
		y.judge(passes)
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// judge reports what happened, and fails if anything expired, a limit was
// exceeded, or what was to happen did not.
func (y *years) judge(passes int) {
	for _, e := range y.expiry {
		y.t.Errorf("expired: %s", e)
	}
	for _, o := range y.over {
		y.t.Errorf("asked for more than the limit: %s", o)
	}
	if y.vain == 0 || y.refused == 0 {
		y.t.Errorf("%d orders while the CA was down, %d deployments while the proxy was: want some", y.vain, y.refused)
	}
	for name, list := range y.issued {
		y.judgeTarget(name, list)
	}
	if sum := y.told[notify.Failing] + y.told[notify.Expiring]; y.told[notify.Failing] == 0 || y.told[notify.Recovered] == 0 || sum > 20 {
		y.t.Errorf("told %v: want each, and a person left alone otherwise", y.told)
	}
	y.t.Logf("%d passes, %d questions for windows, %d orders while the CA was down, told: %v", passes, y.asked, y.vain, y.told)
}

func (y *years) judgeTarget(name string, list []stamp) {
	var at []string
	replaced, late, confused := false, 0, 0
	for i, s := range list {
		on := y.day(s.at)
		at = append(at, fmt.Sprintf("%.1f", on))
		replaced = replaced || incident <= on && on < incident+1
		if confusion <= on && on < confusion+3 {
			confused++
		}
		if i == 0 || on < moveFrom+1 || on >= incident {
			continue // what happened to the machine has its own rules
		}
		w := y.windows[list[i-1].serial]
		if s.at.Before(w.start) || s.at.After(later(w.end, w.at).Add(time.Hour)) {
			y.t.Errorf("%s: replaced on day %.2f, want what the CA said on day %.2f: day %.2f to %.2f", name, on, y.day(w.at), y.day(w.start), y.day(w.end))
		}
		if w.moved {
			late++
		}
	}
	if late == 0 {
		y.t.Errorf("%s: not replaced in a window that the CA had moved", name)
	}
	if !replaced {
		y.t.Errorf("%s: not replaced within a day of the incident", name)
	}
	if confused < 2 {
		y.t.Errorf("%s: %d certificates while the CA wanted each replaced at once, want what the limit allows", name, confused)
	}
	if most := int(730*day/(lives[name]/2)) + 12; len(list) > most {
		y.t.Errorf("%s: %d orders, want %d at most", name, len(list), most)
	}
	y.t.Logf("%s: %d certificates in two years, at least %.0f%% of the lifetime left at any time, on days %s", name, len(list), 100*y.worst[name], strings.Join(at, " "))
}

// threeInTheMorning is the window "* 3 * * *".
func threeInTheMorning(now time.Time) time.Time {
	if now.Hour() == 3 {
		return time.Time{}
	}
	opens := time.Date(now.Year(), now.Month(), now.Day(), 3, 0, 0, 0, now.Location())
	if !opens.After(now) {
		opens = opens.AddDate(0, 0, 1)
	}
	return opens
}
