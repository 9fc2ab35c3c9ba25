package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew"
)

// A place for a stand-in that cannot be looked at is an error with a remedy.
func TestStandInPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := allMissing([]string{file + "/a.pem"})
	if err == nil || !strings.HasPrefix(err.Error(), "writing "+file+"/a.pem: not a directory") || renew.Remedy(err) == "" {
		t.Errorf("error %v, remedy %q", err, renew.Remedy(err))
	}
}
