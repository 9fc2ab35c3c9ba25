package main_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The first command of the README, as a newcomer runs it.
func TestQuickstart(t *testing.T) {
	t.Setenv("CGO_ENABLED", "0") // as the programs of other tests, which share what is compiled
	output, err := exec.CommandContext(t.Context(), "go", "run", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go run ./examples/quickstart: %v\n%s", err, output)
	}
	for _, want := range []string{
		"example.org         verified: for example.org, by Pebble",
		"validated by dns-01",
		"matrix.example.org  verified: for matrix.example.org, by Pebble",
		"validated by http-01",
		"exit status 0 (changed)",
		"exit status 2 (nothing to do)",
	} {
		if !strings.Contains(string(output), want) {
			t.Errorf("%q is missing from:\n%s", want, output)
		}
	}
}
