package testutil

import (
	"fmt"
	"os"
	"os/exec"
)

// Build builds one of our programs, without cgo, as it is handed out, and with a dozen
// DNS providers. All tests build alike, so that nothing is compiled twice.
func Build(path, program string, flags ...string) error {
	args := append([]string{"build", "-tags", "lean", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "keypaird/cmd/"+program)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", program, err, out)
	}
	return nil
}
