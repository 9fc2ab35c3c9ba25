package orderlog

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
		{"three days", 3 * day, 2, 7, 2. / 3},
		{"a day", day, 3, 21, 2},
		{"eight hours", 8 * time.Hour, 9, 63, 6},
		{"an hour", time.Hour, 72, 504, 48},
		{"five minutes", 5 * time.Minute, 864, 6048, 576},
		{"a minute", time.Minute, 4320, 30240, 2880},
		{"ten seconds, which is nonsense", 10 * time.Second, 4320, 30240, 2880},
		{"none at all", -day, 2, 4, 0},
		{"290 years", 290 * 365 * day, 2, 4, 0},
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

func TestHashNames(t *testing.T) {
	set := hashNames([]string{"b.test", "a.test", "2001:db8::1"})
	for _, same := range [][]string{{"a.test", "b.test", "2001:db8::1"}, {"2001:0DB8:0:0::1", "A.test", "b.TEST"}, {"a.test", "a.test", "b.test", "2001:db8::1"}} {
		if hashNames(same) != set {
			t.Errorf("%v is another set", same)
		}
	}
	for _, other := range [][]string{{"a.test", "b.test"}, {"a.testb.test", "2001:db8::1"}, {"*.a.test", "b.test", "2001:db8::1"}} {
		if hashNames(other) == set {
			t.Errorf("%v is the same set", other)
		}
	}
}

// A client reserves as an order does: once for itself, once for its certificate.
type client struct {
	*Log
	n int
}

func (b *client) certify(t *testing.T, p Request) error {
	t.Helper()
	if err := b.Reserve(t.Context(), NewOrder, p); err != nil {
		return err
	}
	b.n++
	p.Order = fmt.Sprintf("https://ca.test/order/%d", b.n)
	return b.Reserve(t.Context(), Finalize, p)
}

func wantLimit(t *testing.T, err error, why string, next time.Time) {
	t.Helper()
	var b *RateLimitError
	if !errors.As(err, &b) || !strings.Contains(b.Error(), why) || strings.Contains(b.Error(), "\n") {
		t.Fatalf("error = %v, want a RateLimitError with %q", err, why)
	}
	if !b.Earliest().Equal(next) || !strings.Contains(b.Remedy(), next.UTC().Format(time.RFC3339)) {
		t.Errorf("next at %v (%s), want %v", b.Earliest(), b.Remedy(), next)
	}
}

func TestLimitOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := &client{Log: New(Options{CA: "ca", Dir: dir})}
		p := Request{Names: []string{"a.test", "b.test"}}
		var ordered []time.Time
		began := time.Now()
		for range 10 * 24 * 60 { // ten days of a try each minute
			if err := b.certify(t, p); err == nil {
				ordered = append(ordered, time.Now())
			} else if len(ordered) == 2 {
				wantLimit(t, err, "ca: own limit reached: 2 certificates for exactly these names in the last 24 hours", ordered[0].Add(24*time.Hour))
			} else if len(ordered) == 4 {
				wantLimit(t, err, "4 certificates for exactly these names in the last 7 days", ordered[0].Add(7*24*time.Hour))
			}
			<-time.After(time.Minute)
		}
		var days []float64
		for _, at := range ordered {
			days = append(days, at.Sub(began).Hours()/24)
		}
		if got := fmt.Sprintf("%.1f", days); got != "[0.0 0.0 1.0 1.0 7.0 7.0 8.0 8.0]" {
			t.Errorf("ordered on days %s", got)
		}
		if err := b.certify(t, Request{Names: []string{"a.test"}}); err != nil {
			t.Errorf("another set: %v", err)
		}
		forced := p
		forced.Force = true
		if err := b.certify(t, forced); err != nil {
			t.Errorf("forced: %v", err)
		}
	})
}

func TestLimitOfAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &client{Log: New(Options{CA: "ca", Dir: t.TempDir(), MaxOrders: 5})}
		began := time.Now()
		for i := range 5 {
			if err := b.certify(t, Request{Names: []string{fmt.Sprintf("n%d.test", i)}}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
		}
		err := b.certify(t, Request{Names: []string{"n.test"}, Force: true}) // not even a person
		wantLimit(t, err, "ca: own limit reached: 5 orders in the last 3 hours", began.Add(3*time.Hour))
		if e, ok := errors.AsType[*RateLimitError](err); !ok || !e.Account {
			t.Errorf("error = %#v, want that it concerns the account", err)
		}
		<-time.After(3*time.Hour - 5*time.Minute)
		if err := b.certify(t, Request{Names: []string{"n.test"}}); err != nil {
			t.Errorf("three hours later: %v", err)
		}
	})
}

// An order is one certificate, however often it is finalized.
func TestOneOrderIsOneCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := Request{Names: []string{"a.test"}, Order: "https://ca.test/order/1"}
		for i := range 50 {
			l := New(Options{CA: "ca", Dir: dir}) // a process that is killed and started again
			if err := l.Reserve(t.Context(), Finalize, p); err != nil {
				t.Fatal(i, err)
			}
			<-time.After(7 * time.Minute)
		}
		l := New(Options{CA: "ca", Dir: dir})
		p.Order = "https://ca.test/order/2"
		if err := l.Reserve(t.Context(), Finalize, p); err != nil {
			t.Fatal(err)
		}
		p.Order = "https://ca.test/order/3" // orders side by side do not slip past
		if err := l.Reserve(t.Context(), Finalize, p); err == nil {
			t.Error("a third certificate")
		}
	})
}

// The clock is set back and forth. Nothing is forgotten.
func TestClockSetBackAndForth(t *testing.T) {
	p := Request{Names: []string{"a.test"}}
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
			l := New(Options{CA: "ca", Dir: t.TempDir()})
			var text strings.Builder
			for i, d := range tt.at {
				text.WriteString(event{time.Now().Add(-d), Finalize, hashNames(p.Names), uint64(i + 1)}.String())
			}
			if err := os.WriteFile(l.path, []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := l.Reserve(t.Context(), NewOrder, p); (err != nil) != tt.want {
				t.Errorf("refusal = %v, want one: %v", err, tt.want)
			}
		})
	}
}

// Several processes share one file: however many order at once, no more is
// allowed.
func TestSharedFile(t *testing.T) {
	const processes, sets, orders = 8, 100, 500
	dir := t.TempDir()
	var granted atomic.Int64
	var signed [sets]atomic.Int64
	var wg sync.WaitGroup
	for process := range processes {
		l := New(Options{CA: "ca", Dir: dir, MaxOrders: orders})
		wg.Go(func() {
			for i := range sets {
				p := Request{Names: []string{fmt.Sprintf("n%d.test", i)}}
				if l.Reserve(t.Context(), NewOrder, p) == nil {
					granted.Add(1)
				}
				p.Order = fmt.Sprintf("https://ca.test/order/%d-%d", process, i)
				if l.Reserve(t.Context(), Finalize, p) == nil {
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

func TestUnusableFile(t *testing.T) {
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
			l := New(Options{CA: "ca", Dir: dir})
			if err := tt.spoil(l.path); err != nil {
				t.Fatal(err)
			}
			err := l.Reserve(t.Context(), NewOrder, Request{Names: []string{"a.test"}})
			var r interface{ Remedy() string }
			if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &r) || !strings.Contains(r.Remedy(), tt.help) {
				t.Errorf("error = %v, want %q and a remedy with %q", err, tt.want, tt.help)
			}
		})
	}
}

// Waiting for the lock can be interrupted, and ends after 10 seconds.
func TestLockedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f, _, err := New(Options{CA: "ca", Dir: dir, MaxOrders: 1}).lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l := New(Options{CA: "ca", Dir: dir, MaxOrders: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Reserve(ctx, NewOrder, Request{Names: []string{"a.test"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want the deadline", err)
		}
		began := time.Now()
		err = l.Reserve(t.Context(), NewOrder, Request{Names: []string{"a.test"}})
		if err == nil || !strings.Contains(err.Error(), "held by another process") || time.Since(began) > 11*time.Second {
			t.Errorf("error = %v after %v, want one about another process after 10s", err, time.Since(began))
		}
	})
}

// Limit says what Reserve would, leaves no trace, and does not count the order that
// is under way.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "account")
		b := &client{Log: New(Options{CA: "ca", Dir: dir})}
		other := New(Options{CA: "ca", Dir: dir}) // another process, with status perhaps
		r := Request{Names: []string{"a.test"}}
		began := time.Now()
		for i := range 2 {
			if err := other.Limit(r); err != nil {
				t.Fatalf("after %d certificates: %v", i, err)
			}
			if _, err := os.Lstat(dir); i == 0 && err == nil {
				t.Error("asking made the directory")
			}
			if err := b.certify(t, r); err != nil {
				t.Fatal(err)
			}
		}
		before, err := os.ReadFile(b.path)
		if err != nil {
			t.Fatal(err)
		}
		wantLimit(t, other.Limit(r), "2 certificates", began.Add(24*time.Hour))
		wantLimit(t, b.Reserve(t.Context(), NewOrder, r), "2 certificates", began.Add(24*time.Hour))
		if after, err := os.ReadFile(b.path); err != nil || string(after) != string(before) {
			t.Errorf("%v; orders.log = %q, want it unchanged: %q", err, after, before)
		}
		underWay := r
		underWay.Order = "https://ca.test/order/2"
		if err := other.Limit(underWay); err != nil {
			t.Errorf("the second order, under way: %v", err)
		}
		forced := r
		forced.Force = true
		if err := other.Limit(forced); err != nil {
			t.Errorf("forced: %v", err)
		}
		<-time.After(24 * time.Hour)
		if err := other.Limit(r); err != nil {
			t.Errorf("a day later: %v", err)
		}
		if err := os.WriteFile(b.path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(b.path), os.Mkdir(b.path, 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := other.Limit(r); err != nil {
			t.Errorf("a file that cannot be read: %v, want what Reserve says", err)
		}
	})
}
