package file

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/durable"
)

// Whoever may not read a secret is not told to put it there.
func TestRemedyOfUnreadableSecret(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fs.ErrNotExist, "put the secret there"},
		{syscall.EACCES, "run this as root or the user keypaird runs as"},
		{durable.ErrNotRegular, "put the secret there"},
	} {
		if got := secretRemedy(tt.err); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}
