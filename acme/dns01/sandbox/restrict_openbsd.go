package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// restrict follows unveil(2) and pledge(2). The promise "error" makes a call
// that is not allowed fail; without it the process would be killed, with
// records left behind.
func restrict(k Keep) (means string, err error) {
	read := append(basics(), bundles()...)
	for _, path := range append(append(read, certDirs()...), k.Read...) {
		_ = unix.Unveil(path, "r") // what cannot be unveiled stays hidden
	}
	promises := "stdio rpath inet dns error"
	for _, path := range k.Write {
		_ = unix.Unveil(path, "rwc")
		promises = "stdio rpath wpath cpath inet dns error"
	}
	if err := unix.UnveilBlock(); err != nil {
		return "", fmt.Errorf("unveil: %w", err)
	}
	// Not the promises of programs: there is none to run.
	if err := unix.PledgePromises(promises); err != nil {
		return "", fmt.Errorf("pledge %q: %w", promises, err)
	}
	return "pledge and unveil", nil
}
