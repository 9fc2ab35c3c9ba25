package acme

import (
	"os"
	"testing"
)

// The order of an earlier version is read without loss: one that is not understood would
// be placed again.
func TestSample(t *testing.T) {
	want, err := os.ReadFile("testdata/order.json")
	if err != nil {
		t.Fatal(err)
	}
	store := OrderDir(t.TempDir())
	o, damaged := parseOrder(want)
	if err := o.save(store); err != nil || damaged {
		t.Fatalf("damaged: %v, %v", damaged, err)
	}
	if got, err := store.Load(); err != nil || string(got) != string(want) {
		t.Errorf("written again, %v:\n%s", err, got)
	}
}
