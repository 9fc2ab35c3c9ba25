package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/renewalinfo"
)

// BenchmarkIdlePass is a pass over 10,000 targets of which none is due, with deployed
// files compared by signature: the look of a daemon. Wanted is under 1 s and 100 MB.
func BenchmarkIdlePass(b *testing.B) {
	e := newFleet(b, 10000)
	var r renew.Report
	began := cpu()
	for b.Loop() {
		r = e.Pass(renew.Scheduled).Run(b.Context(), e.Targets)
		if len(r.Done)+len(r.Errs) > 0 || len(r.Next) != len(e.Targets) {
			b.Fatal(r.Done, r.Errs)
		}
	}
	b.ReportMetric(float64((cpu()-began).Milliseconds())/float64(b.N), "cpu-ms/op") // also on a busy machine
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	b.ReportMetric(float64(mem.HeapInuse)/1e6, "MB-heap")
	runtime.KeepAlive([]any{e, r})
}

// cpu is the time that this process has used of the processors.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// newFleet returns an Engine with n targets, each with a key and a chain deployed.
func newFleet(b *testing.B, n int) *Engine {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	var text strings.Builder
	fmt.Fprintf(&text, "state = %q\nsign_with = [\"letsencrypt\"]\nparallel = 16\n[deploy.files]\nchain = \"%s/tls/{name}.crt\"\nkey = \"%s/tls/{name}.key\"\n", dir+"/state", dir, dir)
	for i := range n {
		fmt.Fprintf(&text, "[cert.\"t%d.example\"]\nhttp-01 = [\"t%d.example\"]\ndeploy = [\"files\"]\n", i, i)
	}
	must(os.Chmod(dir, 0o755))
	must(os.MkdirAll(dir+"/tls", 0o755))
	must(os.WriteFile(dir+"/keypaird.toml", []byte(text.String()), 0o600))
	cfg, err := config.Load(config.Options{Path: dir + "/keypaird.toml", Getenv: func(string) string { return "" }})
	must(err)
	e, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	must(err)
	b.Cleanup(func() { e.Store.Close() })
	pair, err := pairtest.Issue([]string{"a.example"}, time.Now().Add(-24*time.Hour), 90*24*time.Hour)
	must(err)
	for file, data := range map[string][]byte{
		"fullchain": pair.FullChain(), "privkey": pair.Key(), "cert": pair.Cert(), "chain": pair.ChainPEM(), "combined": pair.Combined(),
	} {
		must(os.WriteFile(dir+"/"+file, data, 0o600))
	}
	for i := range e.Targets {
		e.Targets[i].Names = pair.Names()
		must(install(e, e.Targets[i], dir))
	}
	for _, t := range e.Targets { // a link to a file changes its signature
		must(record(e, t, pair))
	}
	return e
}

// install links the files of a pair in dir to where an order stores and deploys them.
func install(e *Engine, t renew.Target, dir string) error {
	home, deployed := e.Store.Dir(t.Name), t.Deploy[0].Paths(t.Name)
	err := errors.Join(os.MkdirAll(home+"/v000001", 0o700), os.Symlink("v000001", home+"/live"),
		os.Link(dir+"/privkey", deployed[0]), os.Link(dir+"/fullchain", deployed[1]))
	for _, file := range []string{"fullchain", "privkey", "cert", "chain", "combined"} {
		err = errors.Join(err, os.Link(dir+"/"+file, home+"/v000001/"+file+".pem"))
	}
	return err
}

// record writes that nothing is due.
func record(e *Engine, t renew.Target, pair *keypair.Pair) error {
	spec, fp, now := t.Deploy[0].Spec(t.Name), pair.Fingerprint(), time.Now()
	data, err := json.Marshal(renew.Record{
		Ordering: renew.Ordering{
			Fingerprint: fp, CA: "letsencrypt", IssuedAt: now,
			RenewalInfo: renewalinfo.Info{Fingerprint: fp, Next: now.Add(6 * time.Hour)},
		},
		Deployments: map[string]renew.Deployment{"files": {
			Deployed: fp, Verified: fp, At: now, ConfigHash: spec.ConfigHash, Signature: spec.Signature, Files: t.Deploy[0].Paths(t.Name),
		}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.Store.Dir(t.Name), "record.json"), data, 0o600)
}
