package runner

import (
	"testing"

	"keypaird/renew/testutil"
)

// An engine sends the service manager what is about itself only.
func TestNotify(t *testing.T) {
	got := ""
	d := Daemon{Notify: func(text string) error { got = text; return nil }}
	testutil.Must(t, d.notify("READY=1\nMAINPID=1\nWATCHDOG=1\nWATCHDOG=trigger\nSTATUS=well = good\nFDSTORE=1\n\nNOTIFYACCESS=all"))
	if want := "READY=1\nWATCHDOG=1\nSTATUS=well = good\n"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}
