package child

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"keypaird/acme/dns01/need"
	"keypaird/renew/launch"
)

// confineFor takes from this process the rights that a provider does not need. It
// returns by which means, or why not. The code is canonical.
//
// On Linux keypaird has done so, and more, before this program began, and says it by
// -confined: see package launch. Elsewhere it is done here.
func confineFor(code string) (confinement string, err error) {
	a := need.Account{Code: code, Env: map[string]string{}, UID: strconv.Itoa(os.Getuid())}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		a.Env[name] = value
	}
	if u, err := user.Current(); err == nil {
		a.Home = u.HomeDir
	}
	if why := a.Free(); why != "" {
		return "none: " + why, nil
	}
	keep, create, env := a.Files()
	launch.Create(create)
	for name, value := range env {
		_ = os.Setenv(name, value)
	}
	means, err := launch.Process(keep)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot confine itself (%s=true in the account's env leaves it out): %w", need.Unconfined, err)
	case means == "":
		return "none: this system has no means", nil
	}
	return means, nil
}
