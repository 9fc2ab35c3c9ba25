// Package need knows what lego's DNS providers use of a machine besides the network:
// files, and programs. By the source of lego and of the packages it imports, a provider
// that is not listed uses the files that its variables name, and nothing else.
//
// It also knows the user of a child, and hands files over to it that this user cannot open:
// see [Account.Hand].
package need

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"keypaird/renew/launch"
)

// Unconfined is the variable of an account that leaves its child unconfined, for needs
// that no rule here covers: credentials that a program of the provider's fetches, say.
const Unconfined = "KEYPAIRD_DNS_UNCONFINED"

// Aliases are lego's other codes of providers. Listed here, they spare opening an account
// the descriptions.
var Aliases = map[string]string{
	"acmedns":        "acme-dns",
	"dnsupdate":      "rfc2136",
	"domainnameshop": "domeneshop",
	"fastdns":        "edgedns",
	"linodev4":       "linode",
	"webnamesru":     "webnames",
}

// Canonical returns the provider's code for a code or an alias.
func Canonical(code string) string {
	if c, ok := Aliases[code]; ok {
		return c
	}
	return code
}

// An Account is an account at a provider, as its child sees it.
type Account struct {
	Code string // canonical, see [Canonical]
	Env  map[string]string
	Home string // where ~/ is: of the user that the account names, else of keypaird's; may be empty
	UID  string // the number of the user the child runs as
}

// A need holds what a provider uses besides its variables and the files they name.
type need struct {
	read  []string          // files and directories; ~/ is the home of the user, {uid} its number
	write string            // variable that names a file it keeps
	named map[string]string // variables that name files among read, with the files
}

// emptyStore is what a file that a provider keeps begins with.
const emptyStore = "{}\n"

var needs = map[string]need{
	"acme-dns": {write: "ACME_DNS_STORAGE_PATH"},
	"azuredns": {read: []string{"/var/opt/azcmagent/tokens"}}, // of Azure Arc
	"designate": {read: []string{"~/.config/openstack", "/etc/openstack"},
		named: map[string]string{"OS_CLIENT_CONFIG_FILE": "~/.config/openstack/clouds.yaml"}},
	"edgedns": {read: []string{"~/.edgerc"}, named: map[string]string{"AKAMAI_EDGERC": "~/.edgerc"}},
	"gcloud": {read: []string{"~/.config/gcloud", "/sys/class/dmi/id/product_name"},
		named: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "~/.config/gcloud/application_default_credentials.json"}},
	"hyperone":    {read: []string{"~/.h1"}, named: map[string]string{"HYPERONE_PASSPORT_LOCATION": "~/.h1/passport.json"}},
	"ibmcloud":    {read: []string{"~/.softlayer"}},
	"lightsail":   {read: []string{"~/.aws"}, named: awsFiles},
	"oraclecloud": {read: []string{"~/.oci"}},
	"ovh":         {read: []string{"~/.ovh.conf", "/etc/ovh.conf"}},
	"rfc2136": {read: []string{"/etc/krb5.conf", "/tmp/krb5cc_{uid}"}, // with GSS-TSIG only
		named: map[string]string{"KRB5CCNAME": "FILE:/tmp/krb5cc_0"}}, // root's
	"route53": {read: []string{"~/.aws"}, named: awsFiles},
}

var awsFiles = map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}

// need returns what the provider uses.
func (a Account) need() need {
	if a.Code == "rfc2136" && !a.usesKerberos() {
		return need{}
	}
	return needs[a.Code]
}

// home returns where ~/ is.
func (a Account) home() string { return cmp.Or(a.Env["HOME"], a.Home) }

// Codes returns the providers that use more than their variables.
func Codes() []string { return slices.Sorted(maps.Keys(needs)) }

// Free returns why a child is not confined, "" if it is: it may run programs with needs
// that are not known.
func (a Account) Free() (why string) {
	switch off, err := strconv.ParseBool(a.Env[Unconfined]); {
	case err == nil && off:
		return Unconfined + " is set"
	case a.Code == "exec":
		return "exec runs a program"
	case a.Code == "azuredns" && strings.EqualFold(a.value("AZURE_AUTH_METHOD"), "cli"):
		return "AZURE_AUTH_METHOD=cli runs the program az"
	}
	return ""
}

// Files returns the files that a child keeps, what a file that it keeps begins with if
// it does not exist, and the variables it needs in order to find them.
func (a Account) Files() (keep launch.Keep, create, env map[string]string) {
	var environ []string
	for name, value := range a.Env {
		environ = append(environ, name+"="+value)
	}
	home, n := a.home(), a.need()
	keep.Read = launch.Named(environ, home)
	for _, path := range n.read {
		if own := strings.ReplaceAll(path, "{uid}", a.UID); own != path {
			if a.owns(own) {
				keep.Read = append(keep.Read, own)
			}
			continue
		}
		below, ok := strings.CutPrefix(path, "~/")
		switch {
		case !ok:
			keep.Read = append(keep.Read, path)
		case home != "":
			keep.Read = append(keep.Read, filepath.Join(home, below))
			env = map[string]string{"HOME": home} // some look nowhere else, or run programs to find it
		}
	}
	if path := a.value(n.write); path != "" {
		keep.Write = append(keep.Write, path)
		create = map[string]string{path: emptyStore}
	}
	return keep, create, env
}

// owns reports whether a path in a directory of all users is a file of the child's user:
// another user could have put a link there, to a directory with keys.
func (a Account) owns(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.Mode().IsRegular() && fmt.Sprint(fi.Sys().(*syscall.Stat_t).Uid) == a.UID
}

// usesKerberos reports whether the account asks for GSS-TSIG (RFC 3645).
func (a Account) usesKerberos() bool {
	for _, name := range []string{"DNSUPDATE_TSIG_ALGORITHM", "RFC2136_TSIG_ALGORITHM"} {
		if value := a.value(name); value != "" {
			return strings.EqualFold(strings.TrimSuffix(value, "."), "gss-tsig")
		}
	}
	return false
}

// value returns a variable, or the content of the file that NAME_FILE names, as lego
// reads it.
func (a Account) value(name string) string {
	if value := a.Env[name]; value != "" || name == "" {
		return value
	}
	text, err := os.ReadFile(a.Env[name+"_FILE"])
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}
