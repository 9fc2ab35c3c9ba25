package child

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"keypaird/acme/dns01/sandbox"
	"keypaird/cmd/keypaird-dns/child/rfc2136"

	"github.com/go-acme/lego/v4/platform/config/env"
)

// Unconfined is the variable of an account that keeps its child from confining
// itself, for needs that no rule here covers: credentials that a program of the
// provider's fetches, say.
const Unconfined = "KEYPAIRD_DNS_UNCONFINED"

// A need holds what a provider uses besides its variables and the files that they
// name. By the source of lego and of the packages it imports, a provider that is not
// listed uses nothing else.
type need struct {
	read  []string // files and directories; ~/ is the home of the user we run as, {uid} its number
	write string   // variable that names a file it keeps
}

var needs = map[string]need{
	"acme-dns":    {write: "ACME_DNS_STORAGE_PATH"},
	"azuredns":    {read: []string{"/var/opt/azcmagent/tokens"}}, // of Azure Arc
	"designate":   {read: []string{"~/.config/openstack", "/etc/openstack"}},
	"edgedns":     {read: []string{"~/.edgerc"}},
	"gcloud":      {read: []string{"~/.config/gcloud", "/sys/class/dmi/id/product_name"}},
	"hyperone":    {read: []string{"~/.h1"}},
	"ibmcloud":    {read: []string{"~/.softlayer"}},
	"lightsail":   {read: []string{"~/.aws"}},
	"oraclecloud": {read: []string{"~/.oci"}},
	"ovh":         {read: []string{"~/.ovh.conf", "/etc/ovh.conf"}},
	"rfc2136":     {read: []string{"/etc/krb5.conf", "/tmp/krb5cc_{uid}"}}, // with GSS-TSIG only
	"route53":     {read: []string{"~/.aws"}},
}

// unconfined returns why a provider is not confined, "" if it is: it may run programs
// with needs that are not known.
func unconfined(code string) (why string) {
	switch off, err := strconv.ParseBool(os.Getenv(Unconfined)); {
	case err == nil && off:
		return Unconfined + " is set"
	case code == "exec":
		return "exec runs a program"
	case code == "azuredns" && strings.EqualFold(env.GetOrFile("AZURE_AUTH_METHOD"), "cli"):
		return "AZURE_AUTH_METHOD=cli runs the program az"
	}
	return ""
}

// confineFor takes from this process the rights that a provider does not need. It
// returns by which means, or why not. The code is canonical.
func confineFor(code string) (confinement string, err error) {
	if err := sandbox.NoCoreDumps(); err != nil {
		return "", fmt.Errorf("cannot confine itself: %w", err)
	}
	if why := unconfined(code); why != "" {
		return "none: " + why, nil
	}
	means, err := sandbox.Process(keep(code))
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot confine itself (%s=true in the account's env leaves it out): %w", Unconfined, err)
	case means == "":
		return "none: this system has no means", nil
	}
	return means, nil
}

// keep returns the rights that the process keeps. It creates the file that cannot be
// created later.
func keep(code string) sandbox.Keep {
	n := needs[code]
	if code == "rfc2136" && !rfc2136.UsesKerberos() {
		n = need{}
	}
	// os/user caches the answer: /etc/passwd cannot be read later.
	home := os.Getenv("HOME")
	if u, err := user.Current(); err == nil && home == "" {
		home = u.HomeDir
	}
	k := sandbox.Keep{Read: sandbox.Named(os.Environ(), home)}
	for _, path := range n.read {
		path = strings.ReplaceAll(path, "{uid}", strconv.Itoa(os.Getuid()))
		below, ok := strings.CutPrefix(path, "~/")
		switch {
		case !ok:
			k.Read = append(k.Read, path)
		case home != "":
			k.Read = append(k.Read, filepath.Join(home, below))
			_ = os.Setenv("HOME", home) // some look nowhere else, or run programs to find it
		}
	}
	if path := env.GetOrFile(n.write); n.write != "" && path != "" {
		if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			_, _ = f.WriteString("{}\n")
			f.Close()
		}
		k.Write = append(k.Write, path)
	}
	return k
}
