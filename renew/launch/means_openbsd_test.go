package launch

import "testing"

func means() string { return "pledge and unveil" }

func closed(*testing.T) {}
