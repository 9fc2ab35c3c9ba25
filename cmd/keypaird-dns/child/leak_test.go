package child

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

// No goroutine outlives the child.
func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
