package config

import (
	"os"
	"testing"

	"keypaird/renew/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
