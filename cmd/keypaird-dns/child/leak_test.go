package child

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

// Nothing that a request or the end starts outlives the child.
func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
