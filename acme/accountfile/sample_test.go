package accountfile

import (
	"os"
	"testing"
)

// The account of an earlier version is read without loss: one that is not understood would
// be registered again.
func TestSample(t *testing.T) {
	want, err := os.ReadFile("testdata/account.json")
	if err != nil {
		t.Fatal(err)
	}
	files := Files{CA: "prod", Directory: "https://127.0.0.1:42305/dir", Store: Dir(t.TempDir())}
	if err := files.Store.Save(AccountPart, want); err != nil {
		t.Fatal(err)
	}
	file, known, err := files.Load()
	if err != nil || !known {
		t.Fatalf("known: %v, %v", known, err)
	}
	if err := files.Save(file); err != nil {
		t.Fatal(err)
	}
	if got, err := files.Store.Load(AccountPart); err != nil || string(got) != string(want) {
		t.Errorf("written again, %v:\n%s", err, got)
	}
}
