package status

import (
	"strings"
	"testing"

	"keypaird/renew"
	"keypaird/renew/renewtest"
)

// What is to be done, and why, is shown without what steers a terminal: a record
// may name anything as the CA.
func TestWhyIsClean(t *testing.T) {
	store := open(t)
	p := pair(t, aDay, "CA", "a.test")
	v, err := store.Add("a", p)
	must(t, err)
	must(t, store.SetLive("a", v))
	must(t, store.WriteFile("a", "record.json", []byte(`{"fingerprint": "`+p.Fingerprint()+`", "ca": "le\u001b[2J"}`)))
	doc, err := Collect(Source{Store: store, Targets: []renew.Target{{Name: "a", Names: []string{"a.test"}, KeyType: "ec256", Issuers: renewtest.CAs("le")}}}, now)
	must(t, err)
	if why := doc.Targets[0].Next.Why; !strings.Contains(why, "issued by le") || strings.ContainsRune(why, '\x1b') {
		t.Errorf("why: %q", why)
	}
}
