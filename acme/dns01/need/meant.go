package need

import "strings"

// otherNames are what people call providers that lego knows by another code.
var otherNames = map[string]string{
	"aws": "route53", "amazon": "route53", "azure": "azuredns", "bind": "rfc2136", "bind9": "rfc2136", "do": "digitalocean", "gandi": "gandiv5",
	"gcp": "gcloud", "google": "gcloud", "knot": "rfc2136", "named": "rfc2136", "nsd": "rfc2136", "nsupdate": "rfc2136", "powerdns": "pdns",
}

// Meant returns the code of the provider that is known by another name, or "".
func Meant(name string) string { return otherNames[strings.ToLower(name)] }
