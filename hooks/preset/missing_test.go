package preset

import (
	"os"
	"os/user"
	"strings"
	"testing"

	"keypaird/hooks"
	"keypaird/renew/problem"

	"keypaird/renew/testutil"
)

func TestMissing(t *testing.T) {
	dir := testutil.SafeDir(t)
	me, err := user.LookupId("0")
	if err != nil {
		t.Fatal(err)
	}
	hook := testutil.Script(t, "exit 1")
	for _, tt := range []struct {
		name string
		d    hooks.Deployment
		want string
	}{
		{"fits", hooks.Deployment{Chain: dir + "/{name}.crt", Owner: me.Username, Group: "0", Check: []string{"sh"}, Reload: []string{hook}}, ""},
		{"server is not installed", hooks.Deployment{
			Chain: dir + "/x/{name}.crt", Key: dir + "/x/{name}.key", Owner: "no-such-user", Group: "no-such-group", KeyMode: 0o640,
			Check: []string{"no-such-program", "-n"}, Reload: []string{"no-such-program"}, Restart: []string{hook + ".none"},
		}, "owner: there is no user no-such-user; group: there is no group no-such-group; key: there is no directory " + dir + "/x; check: there is no program no-such-program; restart: there is no program " + hook + ".none"},
		{"reads the store", hooks.Deployment{Owner: "no-such-user", Group: "no-such-group", Reload: []string{"sh"}}, ""},
		{"a directory a target", hooks.Deployment{Combined: dir + "/{name}/all.pem"}, ""},
		{"a program that is there", hooks.Deployment{Reload: []string{dir}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.d.Name = "x"
			var got []string
			for _, err := range Missing(&tt.d, nil) {
				if !strings.Contains(problem.Remedy(err), "[deploy.x]") {
					t.Errorf("%v: remedy %q", err, problem.Remedy(err))
				}
				got = append(got, err.Error())
			}
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("Missing = %q\nwant      %q", strings.Join(got, "; "), tt.want)
			}
		})
	}
}

// The remedy for a directory is a command that helps.
func TestMissingDirectory(t *testing.T) {
	dir := testutil.SafeDir(t)
	for _, tt := range []struct {
		d    hooks.Deployment
		want string
	}{
		{hooks.Deployment{Key: dir + "/x/k", Owner: "root", Group: "prosody", KeyMode: 0o640}, "install -d -o root -g prosody -m 0750 " + dir + "/x, or set key of [deploy.y]"},
		{hooks.Deployment{Key: dir + "/x/k", KeyMode: 0o600}, "install -d -m 0755 " + dir + "/x, or set key of [deploy.y]"},
	} {
		tt.d.Name = "y"
		var got string
		for _, err := range Missing(&tt.d, nil) {
			if strings.Contains(err.Error(), "no directory") {
				got = problem.Remedy(err)
			}
		}
		if got != tt.want {
			t.Errorf("remedy = %q, want %q", got, tt.want)
		}
	}
	if err := os.Remove(dir + "/x"); err == nil {
		t.Error("the directory was made")
	}
}
