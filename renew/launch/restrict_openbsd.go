package launch

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// restrict uses unveil(2) and pledge(2). With the promise "error" a forbidden call
// fails; without it the process would be killed and could not remove its records.
func restrict(k Keep) (mechanism string, err error) {
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
	// There are no execpromises: the process runs no programs.
	if err := unix.PledgePromises(promises); err != nil {
		return "", fmt.Errorf("pledge %q: %w", promises, err)
	}
	return "pledge and unveil", nil
}

func confineServer() error {
	const promises = "stdio inet unix recvfd error" // no files
	if err := unix.PledgePromises(promises); err != nil {
		return fmt.Errorf("pledge %q: %w", promises, err)
	}
	return nil
}

var missing = []string{"no system call filter before a child confines itself by pledge(2) and unveil(2)"}
