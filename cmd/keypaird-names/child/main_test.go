package child

import (
	"os"
	"testing"

	"keypaird/renew/launch"
	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) {
	launch.DNSUser = "nobody" // every machine has it
	os.Exit(testutil.Run(m))
}
