package preset

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
