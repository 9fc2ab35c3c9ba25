//go:build !lean

package child

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The full program is built here, which takes minutes the first time: "make
// check" does, tests with the tag lean do not. Each
// provider is opened without any variables, in a process restricted for it. It may fail,
// but not because it does not exist, or is denied something.
func TestFullProgramHasAllProviders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keypaird-dns")
	build := exec.Command("go", "build", "-o", path, "keypaird/cmd/keypaird-dns")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is handed out
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(path, "-list").Output()
	if err != nil {
		t.Fatal(err)
	}
	codes := strings.Fields(string(out))
	if len(codes) != providersOfLego {
		t.Errorf("%d providers, want %d", len(codes), providersOfLego)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, code := range codes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			opens(t, path, code)
		})
	}
	wg.Wait()
}

func opens(t *testing.T, path, code string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-for", code)
	// Two look for the machine's own credentials in the network.
	cmd.Env = []string{"GCE_METADATA_HOST=127.0.0.1:1", "AZURE_AUTH_METHOD=env"}
	cmd.Stdin = strings.NewReader(`{"op":"open","provider":"` + code + `","resolvers":["127.0.0.1:1"]}` + "\n")
	out, err := cmd.Output()
	out = bytes.ReplaceAll(out, []byte("{\"ending\":true}\n"), nil)
	if err != nil || !json.Valid(out) {
		t.Errorf("%s: %v, answer %q", code, err, out)
	}
	for _, bad := range []string{"has no such", "unrecognized", "not in this build", "panic", "permission denied", "operation not permitted"} {
		if strings.Contains(string(out), bad) {
			t.Errorf("%s: %s", code, out)
		}
	}
}
