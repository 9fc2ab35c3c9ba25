package status

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
)

// many is a store with n targets that are in order. All have the same pair: it
// is the files that count.
func many(b *testing.B, n int) (*keypair.Store, []Subject) {
	b.Helper()
	store := open(b)
	p := pairFrom(b, time.Now().Add(-10*aDay), "R10", "a.example")
	v, err := store.Add("t0", p)
	must(b, err)
	must(b, store.SetLive("t0", v))
	record := `{"fingerprint":"` + p.Fingerprint() + `","ca":"letsencrypt","for":"a.example",` +
		`"deployments":{"relayd":{"deployed":"` + p.Fingerprint() + `","verified":"` + p.Fingerprint() + `","at":"2026-02-19T12:00:01Z","attempt":{}}}}`
	must(b, store.WriteFile("t0", "record.json", []byte(record)))
	var subjects []Subject
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		subjects = append(subjects, Subject{Target: renew.Target{
			Name: name, Names: []string{"a.example"}, KeyType: "ec256", CAs: []string{"letsencrypt"}, Deploy: []string{"relayd"},
		}})
		if i > 0 {
			copyTarget(b, store.Dir("t0"), store.Dir(name), v.ID)
		}
	}
	return store, subjects
}

// copyTarget makes a target of the files of another.
func copyTarget(b *testing.B, from, to, version string) {
	b.Helper()
	must(b, os.MkdirAll(filepath.Join(to, version), 0o700))
	must(b, os.Symlink(version, filepath.Join(to, "live")))
	for _, file := range []string{"record.json", version + "/fullchain.pem", version + "/privkey.pem"} {
		must(b, os.Link(filepath.Join(from, file), filepath.Join(to, file)))
	}
}

// BenchmarkStatus is "keypaird status" of 1,000 targets, reading included. Wanted
// is under 150 ms.
func BenchmarkStatus(b *testing.B) {
	store, subjects := many(b, 1000)
	for b.Loop() {
		doc, err := Collect(store, subjects, time.Now())
		must(b, err)
		must(b, doc.WriteText(io.Discard))
		if doc.Targets[999].State != "ok" {
			b.Fatalf("%+v", doc.Targets[999])
		}
	}
}

// nobody fails the benchmark if a pass finds something to do.
type nobody struct{ b *testing.B }

func (n nobody) Obtain(context.Context, renew.Order) (*keypair.Pair, error) {
	n.b.Error("the CA was asked")
	return nil, io.EOF
}

func (n nobody) ForgetOrder(renew.Target, *x509.Certificate) error { return nil }

func (n nobody) Deploy(context.Context, string, []renew.Change) ([]renew.Outcome, error) {
	n.b.Error("the proxy was asked")
	return nil, io.EOF
}

// BenchmarkIdlePass is a pass over targets of which none is due, beside the heap
// that is in use after it. Wanted of 10,000 is under 1 s and 100 MB.
func BenchmarkIdlePass(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			store, subjects := many(b, n)
			targets := make([]renew.Target, len(subjects))
			for i, s := range subjects {
				targets[i] = s.Target
			}
			p := renew.Pass{Store: store, Obtainer: nobody{b}, Deployer: nobody{b}, Log: slog.New(slog.DiscardHandler)}
			var r renew.Report
			b.ReportAllocs()
			for b.Loop() {
				if r = p.Run(b.Context(), targets); len(r.Done)+len(r.Errs) > 0 {
					b.Fatal(r.Done, r.Errs)
				}
			}
			var mem runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&mem)
			b.ReportMetric(float64(mem.HeapInuse)/1e6, "MB-heap")
			runtime.KeepAlive([]any{&p, targets, r})
		})
	}
}

// BenchmarkPage is the page of 1,000 targets, once they were collected.
func BenchmarkPage(b *testing.B) { benchmarkServer(b, "/") }

// BenchmarkScrape is /metrics of 1,000 targets, once they were collected.
func BenchmarkScrape(b *testing.B) { benchmarkServer(b, "/metrics") }

// BenchmarkStatusJSON is /status.json of 1,000 targets, once they were
// collected.
func BenchmarkStatusJSON(b *testing.B) { benchmarkServer(b, "/status.json") }

func benchmarkServer(b *testing.B, path string) {
	store, subjects := many(b, 1000)
	doc, err := Collect(store, subjects, time.Now())
	must(b, err)
	s := serving(doc)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		size = len(get(b, s, path))
	}
	b.ReportMetric(float64(size), "B/page")
}
