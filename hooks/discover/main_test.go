package discover

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"keypaird/renew/testutil"
)

// The tests need the ports that peers use. As root on Linux they run in a
// process with a network of its own, which has nothing but its loopback
// interface: real servers listen there on 127.x.y.z, and no question leaves the
// machine. Elsewhere those that need servers say that they are left out.
const ownEnv = "KEYPAIRD_TEST_NETWORK"

func TestMain(m *testing.M) {
	switch os.Getenv(ownEnv) {
	case "new":
		if err := testutil.StartLoopback(); err != nil {
			fmt.Fprintln(os.Stderr, "setting up the network:", err)
			os.Exit(1)
		}
		os.Setenv(ownEnv, "ready") // for the workers of a fuzz test
	case "":
		if whyNotOwn() == "" {
			os.Exit(again())
		}
	}
	os.Exit(testutil.Run(m))
}

// again runs this program in a network of its own.
func again() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownEnv+"=new")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	ownNetwork(cmd)
	runtime.LockOSThread() // the process is killed when the thread that started it ends
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// needNetwork leaves a test out where it cannot have ports of its own.
func needNetwork(t *testing.T) {
	t.Helper()
	if os.Getenv(ownEnv) == "" {
		if os.Geteuid() == 0 && os.Getenv("CI") == "true" {
			t.Fatal(whyNotOwn())
		}
		t.Skip("needs root on Linux: ", whyNotOwn())
	}
}
