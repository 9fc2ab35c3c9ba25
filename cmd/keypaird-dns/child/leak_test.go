package child

import (
	"os"
	"testing"

	"keypaird/renew/leaktest"
)

// Nothing that a request or the end starts outlives the child.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
