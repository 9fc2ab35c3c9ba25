package names

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/renew/launch"
	"keypaird/renew/launch/launchtest"
	"keypaird/renew/testutil"
)

// inside answers with what a keypaird-names that another has taken over can do.
func inside() {
	var r message.Request
	if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
		os.Exit(4)
	}
	report := launchtest.Report(launchtest.World{Dir: r.Discover.Domain, Server: r.Discover.Services[0]})
	_ = json.NewEncoder(os.Stdout).Encode(message.Answer{Output: report})
}

// A keypaird-names that another has taken over can do nothing but what package
// launchtest gives a reason for.
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
	path := play(t, "inside")
	request, err := json.Marshal(message.Request{Discover: &message.Discover{Domain: world.Dir, Services: []string{world.Server}}})
	testutil.Must(t, err)
	for _, own := range []bool{false, true} { // the user of this process, if it is root
		c, err := launched(path)
		testutil.Must(t, err)
		want := fmt.Sprintf("uid %d, groups [", os.Getuid())
		switch {
		case own:
			c.User = ""
		case c.User != "":
			u, err := user.Lookup(c.User)
			testutil.Must(t, err)
			want = "uid " + u.Uid + ", groups [], variables TZ=UTC"
		}
		ctx, kill := context.WithCancel(t.Context())
		defer kill()
		k, err := start(ctx, c)
		testutil.Must(t, err)
		a, err := k.converse(ctx, kill, request, message.Text, os.Stderr)
		if err != nil || !strings.HasPrefix(a.Output, want) || !strings.HasSuffix(a.Output, "variables TZ=UTC") {
			t.Errorf("user %q: %v\n%s", c.User, err, a.Output)
		}
	}
}
