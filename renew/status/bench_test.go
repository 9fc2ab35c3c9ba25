package status

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/renewtest"
)

// many is a store with n targets that are in order. All have the same pair: it
// is the files that count.
func many(b *testing.B, n int) Source {
	b.Helper()
	store := open(b)
	p := pairFrom(b, time.Now().Add(-10*aDay), "R10", "a.example")
	v, err := store.Add("t0", p)
	must(b, err)
	must(b, store.SetLive("t0", v))
	record := `{"fingerprint":"` + p.Fingerprint() + `","ca":"letsencrypt","for":"a.example",` +
		`"deployments":{"relayd":{"deployed":"` + p.Fingerprint() + `","verified":"` + p.Fingerprint() + `","at":"2026-02-19T12:00:01Z","attempt":{}}}}`
	must(b, store.WriteFile("t0", "record.json", []byte(record)))
	src := Source{Store: store}
	proxy := []renew.Deployer{&renewtest.Server{Name: "relayd", Use: func(changes []renew.Change) []renew.Result {
		b.Error("the proxy was asked")
		return nil
	}}}
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		src.Targets = append(src.Targets, renew.Target{
			Name: name, Names: []string{"a.example"}, KeyType: "ec256", Issuers: renewtest.CAs("letsencrypt"), Deploy: proxy,
		})
		if i > 0 {
			copyTarget(b, store.Dir("t0"), store.Dir(name), v.ID)
		}
	}
	return src
}

// copyTarget makes a target of the files of another.
func copyTarget(b *testing.B, from, to, version string) {
	b.Helper()
	must(b, os.MkdirAll(filepath.Join(to, version), 0o700))
	must(b, os.Symlink(version, filepath.Join(to, "live")))
	for _, file := range []string{"record.json", "fullchain.pem", "privkey.pem", "cert.pem", "chain.pem", "combined.pem"} {
		if file != "record.json" {
			file = version + "/" + file
		}
		must(b, os.Link(filepath.Join(from, file), filepath.Join(to, file)))
	}
}

// BenchmarkStatus is "keypaird status" of 1,000 targets, reading included. Wanted
// is under 150 ms.
func BenchmarkStatus(b *testing.B) {
	src := many(b, 1000)
	for b.Loop() {
		doc, err := Collect(src, time.Now())
		must(b, err)
		must(b, doc.WriteText(io.Discard))
		if doc.Targets[999].State != "ok" {
			b.Fatalf("%+v", doc.Targets[999])
		}
	}
}

// BenchmarkIdlePass is a pass over targets of which none is due, beside the heap
// that is in use after it. Wanted of 10,000 is under 1 s and 100 MB.
func BenchmarkIdlePass(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			src := many(b, n)
			p := renew.Pass{Store: src.Store, Log: slog.New(slog.DiscardHandler)}
			var r renew.Report
			b.ReportAllocs()
			for b.Loop() {
				if r = p.Run(b.Context(), src.Targets); len(r.Done)+len(r.Errs) > 0 {
					b.Fatal(r.Done, r.Errs)
				}
			}
			var mem runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&mem)
			b.ReportMetric(float64(mem.HeapInuse)/1e6, "MB-heap")
			runtime.KeepAlive([]any{&p, src, r})
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
	src := many(b, 1000)
	doc, err := Collect(src, time.Now())
	must(b, err)
	s := serving(doc)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		size = len(get(b, s, path))
	}
	b.ReportMetric(float64(size), "B/page")
}
