package status

import (
	"os"
	"testing"

	"keypaird/renew/leaktest"
)

// Nothing that the page, its listener or a scrape starts outlives it.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
