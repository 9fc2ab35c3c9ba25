package status

import (
	"os"
	"testing"

	"keypaird/renew/testutil"
)

// Nothing that the page, its listener or a scrape starts outlives it.
func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }
