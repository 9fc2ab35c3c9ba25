package pairtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"keypaird/renew/keypair"
)

// Files are the two files of an external certificate.
type Files struct {
	keypair.Source
	t      testing.TB
	writes int
}

// NewFiles returns files in a new directory, which do not exist yet.
func NewFiles(t testing.TB) *Files {
	dir := t.TempDir()
	return &Files{t: t, Source: keypair.Source{Chain: filepath.Join(dir, "chain.pem"), Key: filepath.Join(dir, "key.pem")}}
}

// Write writes one of the files. Each write has another modification time, as
// outside of a test.
func (f *Files) Write(file string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.writes++
	at := time.Unix(1700000000+int64(f.writes), 0)
	if err := os.Chtimes(file, at, at); err != nil {
		f.t.Fatal(err)
	}
}

// Issue makes a pair and writes both files.
func (f *Files) Issue(life time.Duration, names ...string) *keypair.Pair {
	f.t.Helper()
	p, err := Issue(names, time.Now(), life)
	if err != nil {
		f.t.Fatal(err)
	}
	f.Write(f.Chain, p.FullChain())
	f.Write(f.Key, p.Key())
	return p
}
