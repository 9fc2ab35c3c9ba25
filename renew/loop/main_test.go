package loop

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

// Nothing that a loop starts outlives it.
func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
