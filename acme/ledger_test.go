package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAllowed(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name             string
		life             time.Duration // of the certificate to replace; zero means that there is none
		aDay, aWeek      int
		renewalsOfItsOwn float64 // a day, at half its life
	}{
		{"none", 0, 2, 4, 0},
		{"ninety days", 90 * day, 2, 4, 2. / 90},
		{"six days", 160 * time.Hour, 2, 4, 48. / 160},
		{"three days", 3 * day, 2, 5, 2. / 3},
		{"a day", day, 2, 14, 2},
		{"eight hours", 8 * time.Hour, 6, 42, 6},
		{"an hour", time.Hour, 48, 336, 48},
		{"a minute, which is nonsense", time.Minute, 48, 336, 48},
		{"none at all", -day, 2, 4, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var current *x509.Certificate
			if tt.life != 0 { // from the first to the last second, RFC 5280, section 4.1.2.5
				current = &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(0, 0).Add(tt.life - time.Second)}
			}
			short, long := allowed(current)
			if short != tt.aDay || long != tt.aWeek || float64(short) < tt.renewalsOfItsOwn || float64(long) < 7*tt.renewalsOfItsOwn {
				t.Errorf("allowed = %d a day and %d a week, want %d and %d", short, long, tt.aDay, tt.aWeek)
			}
		})
	}
}

// What a CA allows does not depend on how long the certificates of others live,
// nor on one that claims to live for ever.
func TestAllowedByItsOwn(t *testing.T) {
	now := time.Now()
	hourly := &x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour)}
	for _, tt := range []struct {
		name    string
		current *x509.Certificate
		foreign bool
		aDay    int
	}{
		{"an hour, of this CA", hourly, false, 48},
		{"an hour, of another CA", hourly, true, shortMost},
		{"until the end of all calendars", &x509.Certificate{NotBefore: now, NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}, false, shortMost},
	} {
		j := &job{req: Request{Current: tt.current, Foreign: tt.foreign}}
		if short, _ := allowed(j.purchase().current); short != tt.aDay {
			t.Errorf("%s: %d a day, want %d", tt.name, short, tt.aDay)
		}
	}
}

func TestNameSet(t *testing.T) {
	set := nameSet([]string{"b.test", "a.test", "2001:db8::1"})
	for _, same := range [][]string{{"a.test", "b.test", "2001:db8::1"}, {"2001:0DB8:0:0::1", "A.test", "b.TEST"}, {"a.test", "a.test", "b.test", "2001:db8::1"}} {
		if nameSet(same) != set {
			t.Errorf("%v is another set", same)
		}
	}
	for _, other := range [][]string{{"a.test", "b.test"}, {"a.testb.test", "2001:db8::1"}, {"*.a.test", "b.test", "2001:db8::1"}} {
		if nameSet(other) == set {
			t.Errorf("%v is the same set", other)
		}
	}
}

// buyer orders at a ledger as an order does: one line for it, one for its
// certificate.
type buyer struct {
	*ledger
	n int
}

func (b *buyer) buy(t *testing.T, p purchase) error {
	t.Helper()
	if err := b.order(t.Context(), p); err != nil {
		return err
	}
	b.n++
	p.order = fmt.Sprintf("https://ca.test/order/%d", b.n)
	return b.certificate(t.Context(), p)
}

func wantBudget(t *testing.T, err error, why string, next time.Time) {
	t.Helper()
	var b *BudgetError
	if !errors.As(err, &b) || !strings.Contains(b.Error(), why) || strings.Contains(b.Error(), "\n") {
		t.Fatalf("error = %v, want a BudgetError with %q", err, why)
	}
	if !b.Earliest().Equal(next) || !strings.Contains(b.Remedy(), next.UTC().Format(time.RFC3339)) {
		t.Errorf("next at %v (%s), want %v", b.Earliest(), b.Remedy(), next)
	}
}

func TestBudgetOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := &buyer{ledger: newLedger("ca", dir, defaultOrders)}
		p := purchase{names: []string{"a.test", "b.test"}}
		var bought []time.Time
		began := time.Now()
		for range 10 * 24 * 60 { // ten days of somebody who tries each minute
			if err := b.buy(t, p); err == nil {
				bought = append(bought, time.Now())
			} else if len(bought) == 2 {
				wantBudget(t, err, "ca: a.test and 1 more name: held back: 2 certificates for exactly these names in the last 24 hours", bought[0].Add(24*time.Hour))
			} else if len(bought) == 4 {
				wantBudget(t, err, "4 certificates for exactly these names in the last 7 days", bought[0].Add(7*24*time.Hour))
			}
			<-time.After(time.Minute)
		}
		var days []float64
		for _, at := range bought {
			days = append(days, at.Sub(began).Hours()/24)
		}
		if got := fmt.Sprintf("%.1f", days); got != "[0.0 0.0 1.0 1.0 7.0 7.0 8.0 8.0]" {
			t.Errorf("bought on days %s", got)
		}
		if err := b.buy(t, purchase{names: []string{"a.test"}}); err != nil {
			t.Errorf("another set: %v", err)
		}
		forced := p
		forced.forced = true
		if err := b.buy(t, forced); err != nil {
			t.Errorf("forced: %v", err)
		}
	})
}

func TestBudgetOfAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &buyer{ledger: newLedger("ca", t.TempDir(), 5)}
		began := time.Now()
		for i := range 5 {
			if err := b.buy(t, purchase{names: []string{fmt.Sprintf("n%d.test", i)}}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
		}
		err := b.buy(t, purchase{names: []string{"n.test"}, forced: true}) // not even a person
		wantBudget(t, err, "ca: held back: 5 orders in the last 3 hours", began.Add(3*time.Hour))
		if !Everyone(err) || !Elsewhere(err) {
			t.Error("want it to concern everyone here, and nobody elsewhere")
		}
		<-time.After(3*time.Hour - 5*time.Minute)
		if err := b.buy(t, purchase{names: []string{"n.test"}}); err != nil {
			t.Errorf("three hours later: %v", err)
		}
	})
}

// An order is one certificate, however often it is finalized.
func TestBudgetOfOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := purchase{names: []string{"a.test"}, order: "https://ca.test/order/1"}
		for i := range 50 {
			l := newLedger("ca", dir, defaultOrders) // a process that is killed and started again
			if err := l.certificate(t.Context(), p); err != nil {
				t.Fatal(i, err)
			}
			<-time.After(7 * time.Minute)
		}
		l := newLedger("ca", dir, defaultOrders)
		p.order = "https://ca.test/order/2"
		if err := l.certificate(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		p.order = "https://ca.test/order/3" // orders side by side do not slip past
		if err := l.certificate(t.Context(), p); err == nil {
			t.Error("a third certificate")
		}
	})
}

// The clock is put back and forth. Nothing is forgotten for it.
func TestBudgetAndClocks(t *testing.T) {
	p := purchase{names: []string{"a.test"}}
	for _, tt := range []struct {
		name string
		at   []time.Duration // of the certificates there were, before now
		want bool            // refused
	}{
		{"two a moment ago", []time.Duration{0, time.Second}, true},
		{"put back by an hour", []time.Duration{-time.Hour, -time.Hour}, true},
		{"put back by a year", []time.Duration{-8800 * time.Hour, -8800 * time.Hour}, false},
		{"two yesterday", []time.Duration{25 * time.Hour, 25 * time.Hour}, false},
		{"one today, one tomorrow", []time.Duration{23 * time.Hour, -23 * time.Hour}, true},
		{"four this week", []time.Duration{25 * time.Hour, 26 * time.Hour, 27 * time.Hour, 167 * time.Hour}, true},
		{"four in eight days", []time.Duration{25 * time.Hour, 26 * time.Hour, 27 * time.Hour, 169 * time.Hour}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger("ca", t.TempDir(), defaultOrders)
			var text strings.Builder
			for i, d := range tt.at {
				text.WriteString(entry{time.Now().Add(-d), aCertificate, nameSet(p.names), uint64(i + 1)}.String())
			}
			if err := os.WriteFile(l.path, []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := l.order(t.Context(), p); (err != nil) != tt.want {
				t.Errorf("refusal = %v, want one: %v", err, tt.want)
			}
		})
	}
}

// Ledgers of several processes are one. However many order at once, no more is
// allowed.
func TestBudgetIsShared(t *testing.T) {
	const processes, sets, orders = 8, 100, 500
	dir := t.TempDir()
	var granted atomic.Int64
	var signed [sets]atomic.Int64
	var wg sync.WaitGroup
	for process := range processes {
		l := newLedger("ca", dir, orders)
		wg.Go(func() {
			for i := range sets {
				p := purchase{names: []string{fmt.Sprintf("n%d.test", i)}}
				if l.order(t.Context(), p) == nil {
					granted.Add(1)
				}
				p.order = fmt.Sprintf("https://ca.test/order/%d-%d", process, i)
				if l.certificate(t.Context(), p) == nil {
					signed[i].Add(1)
				}
			}
		})
	}
	wg.Wait()
	for i := range signed {
		if n := signed[i].Load(); n != 2 {
			t.Errorf("%d certificates for set %d, want 2", n, i)
		}
	}
	if n := granted.Load(); n > orders {
		t.Errorf("%d orders, want at most %d", n, orders)
	}
}

func TestLedgerThatCannotBeKept(t *testing.T) {
	for _, tt := range []struct {
		name       string
		spoil      func(path string) error
		want, help string
	}{
		{"a directory in its place", func(path string) error { return os.Mkdir(path, 0o700) }, "orders.log: is a directory", "out of the way"},
		{"a link in its place", func(path string) error { return os.Symlink("/dev/null", path) }, "too many levels of symbolic links", ""},
		{"others can write there", func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) }, "can be written by everyone", "chmod go-w"},
		{"a file in place of the directory", func(path string) error {
			dir := filepath.Dir(path)
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		}, "not a directory", "out of the way"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "account")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			l := newLedger("ca", dir, defaultOrders)
			if err := tt.spoil(l.path); err != nil {
				t.Fatal(err)
			}
			err := l.order(t.Context(), purchase{names: []string{"a.test"}})
			var r interface{ Remedy() string }
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &r) || !strings.Contains(r.Remedy(), tt.help) {
				t.Errorf("error = %v, want %q and a remedy with %q", err, tt.want, tt.help)
			}
			if over(err) || transient(err) {
				t.Error("our own trouble is taken for the CA's")
			}
		})
	}
}

// Who waits for the file can be interrupted, and does not wait for ever.
func TestLedgerThatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f, _, err := newLedger("ca", dir, 1).open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l := newLedger("ca", dir, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.order(ctx, purchase{names: []string{"a.test"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want the deadline", err)
		}
		began := time.Now()
		err = l.order(t.Context(), purchase{names: []string{"a.test"}})
		if err == nil || !strings.Contains(err.Error(), "held by another process") || time.Since(began) > 11*time.Second {
			t.Errorf("error = %v after %v, want one about another process after 10s", err, time.Since(began))
		}
	})
}
