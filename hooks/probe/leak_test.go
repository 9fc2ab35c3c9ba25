package probe

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

// Nothing that a look at an endpoint starts outlives it.
func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
