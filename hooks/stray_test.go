package hooks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
)

func TestStrays(t *testing.T) {
	dir := safeDir(t)
	old, ended := good(t, plain, "www."+plain), newPair(t, -2*time.Hour, -time.Hour, plain)
	for path, p := range map[string]*keypair.Pair{
		plain + ".crt": old, plain + ".key": old, "b-old.crt": old, "a/fullchain.pem": old, "a/b/c.crt": old, "a/b/c/d.crt": old,
		".hidden.crt": old, ".git/x.crt": old, "ended.crt": ended, host + ".crt": good(t, host),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		data := p.FullChain()
		if strings.HasSuffix(path, ".key") {
			data = p.Key()
		}
		write(t, filepath.Join(dir, path), string(data))
	}
	write(t, filepath.Join(dir, "junk.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	three := []string{"a/b/c.crt", "a/fullchain.pem", "b-old.crt"}
	for _, tt := range []struct {
		name   string
		d      Deployment
		target string
		want   []string
	}{
		{"three deep", Deployment{Chain: dir + "/{name}.crt", Key: dir + "/{name}.key", Scans: 3}, plain, three},
		{"one directory", Deployment{Chain: dir + "/{name}.crt", Key: dir + "/{name}.key", Scans: 1}, plain, []string{"b-old.crt"}},
		{"combined", Deployment{Combined: dir + "/{name}.crt", Scans: 1}, plain, []string{"b-old.crt"}},
		{"by a name of the certificate in place", Deployment{Chain: dir + "/b-old.crt", Scans: 1}, "another", []string{plain + ".crt"}},
		{"takes what it is told", Deployment{Chain: dir + "/{name}.crt", Key: dir + "/{name}.key"}, plain, nil},
		{"none beside it", Deployment{Chain: dir + "/{name}.crt", Key: dir + "/{name}.key", Scans: 3}, host, nil},
		{"no such directory", Deployment{Chain: dir + "/none/{name}.crt", Scans: 3}, plain, nil},
		{"writes nothing", Deployment{Scans: 3}, plain, nil},
	} {
		var got []string
		for _, w := range tt.d.Warnings(tt.target) {
			path, _, _ := strings.Cut(w, " holds a certificate for a name of")
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
		if strings.Join(got, " ") != strings.Join(tt.want, " ") {
			t.Errorf("%s: Warnings of %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A server that serves an old file instead: the error names it, and so does
// the remedy.
func TestStrayIsServed(t *testing.T) {
	t.Parallel()
	old := good(t, plain)
	f := startFrail(t, old)
	f.d.Scans, f.d.Restart = 1, nil
	f.d.Reload = []string{"true"} // it goes on with what it has
	stray := f.in("a-old.pem")
	write(t, stray, string(old.Combined()))
	log := new(strings.Builder)
	f.d.Log = textLog(log)
	e := failure(t, f.d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain), Previous: old}}), StepVerify)
	e.stands(t, true, false, plain)
	if !strings.Contains(e.Error(), "serves certificate "+old.Fingerprint()[:16]) || !strings.Contains(e.Error(), stray+" is for the same name; the previous pair") || !strings.Contains(e.Remedy(), "remove "+stray+", "+f.in("loaded.crt")+", then") {
		t.Errorf("error = %q\nremedy %q", e, e.Remedy())
	}
	if !strings.Contains(log.String(), stray) {
		t.Error("no warning of it in the log")
	}
}
