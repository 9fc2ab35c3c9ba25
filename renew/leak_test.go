package renew

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

// Nothing that a pass starts outlives it.
func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
