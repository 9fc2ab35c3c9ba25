package renew

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing that a pass or a loop starts outlives it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
