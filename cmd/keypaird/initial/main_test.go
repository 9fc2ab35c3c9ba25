package initial

import (
	"os"
	"testing"

	"keypaird/renew/launch"
)

func TestMain(m *testing.M) {
	launch.DNSUser = "nobody" // every machine has it
	os.Exit(m.Run())
}
