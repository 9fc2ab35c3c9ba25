package remote

import (
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"

	"keypaird/renew/fleet/wire"
	"keypaird/renew/launch"
	"keypaird/renew/launch/launchtest"
	"keypaird/renew/testutil"
)

// inside answers with what a keypaird-fleet that another has taken over can do.
func inside() {
	var r wire.Request
	if _, err := wire.NewReader(os.Stdin).Next(&r); err != nil {
		os.Exit(4)
	}
	report := launchtest.Report(launchtest.World{Dir: r.Open.Prefix, Server: r.Open.Endpoints[0]})
	answer(wire.Answer{ID: r.ID, Failure: &wire.Failure{Kind: wire.Other, Text: report}})
}

// A keypaird-fleet that another has taken over can do nothing but what package launchtest
// gives a reason for.
func TestInside(t *testing.T) {
	if missing := launch.Missing(); len(missing) > 0 {
		t.Skipf("this kernel does not enforce everything: %v", missing)
	}
	t.Setenv("KEYPAIRD_CONFIG", "/etc/keypaird/keypaird.toml")
	t.Setenv("SECRET", "hunter22")
	t.Setenv("TZ", "UTC")
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG"} {
		t.Setenv(name, "") // restored when the test ends
		os.Unsetenv(name)
	}
	world := launchtest.SetUp(t)
	k, err := start(t.Context(), play(t, "inside"))
	testutil.Must(t, err)
	defer k.end()
	_, err = k.open(t.Context(), wire.Settings{Prefix: world.Dir, Endpoints: []string{world.Server}})
	want := fmt.Sprintf("uid %d, groups [", os.Getuid())
	if name, err := launch.NetUser(); err == nil && name != "" {
		u, err := user.Lookup(name)
		testutil.Must(t, err)
		want = "uid " + u.Uid + ", groups [], variables TZ=UTC"
	}
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "variables TZ=UTC") {
		t.Errorf("%v", err)
	}
}
