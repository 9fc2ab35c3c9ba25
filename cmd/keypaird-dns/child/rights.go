package child

import (
	"regexp"
	"slices"
	"strings"
)

// A recommendation is what an account of a provider should have: the credential with the
// least rights, from a file.
type recommendation struct {
	env    []Variable
	rights string // that are enough, as lego and the provider document them
	lines  string // for the DNS server's own configuration
}

// recommendations are those for providers whose examples in lego's documentation give more
// away than is needed.
var recommendations = map[string]recommendation{
	"rfc2136": {[]Variable{{"RFC2136_NAMESERVER", "192.0.2.53"}, {"RFC2136_TSIG_FILE", "/etc/keypaird/tsig"}},
		"a key of its own, made by tsig-keygen(8) with the name keypaird, and in the zone's block of named.conf, for each name:",
		"update-policy { grant keypaird name _acme-challenge.example.org. TXT; };"},
	"cloudflare": {[]Variable{{"CF_DNS_API_TOKEN_FILE", "/etc/keypaird/cloudflare"}},
		"an API token (not the global key) with the permissions Zone/Zone/Read and Zone/DNS/Edit, for the one zone", ""},
	"hetzner":      {[]Variable{{"HETZNER_API_TOKEN_FILE", "/etc/keypaird/hetzner"}}, "an API token (read and write) of a project that has nothing but the zone", ""},
	"digitalocean": {[]Variable{{"DO_AUTH_TOKEN_FILE", "/etc/keypaird/digitalocean"}}, "a token with the custom scopes domain:read, domain:create, domain:update and domain:delete", ""},
	"gandiv5": {[]Variable{{"GANDIV5_PERSONAL_ACCESS_TOKEN_FILE", "/etc/keypaird/gandi"}},
		"a personal access token for the one domain, with the right to manage its technical configuration", ""},
	"desec": {[]Variable{{"DESEC_TOKEN_FILE", "/etc/keypaird/desec"}},
		"a token with a policy: none by default, and write for TXT records at _acme-challenge of the domain", ""},
	"route53": {[]Variable{{"AWS_ACCESS_KEY_ID", "AKIA..."}, {"AWS_SECRET_ACCESS_KEY_FILE", "/etc/keypaird/aws"}, {"AWS_HOSTED_ZONE_ID", "Z..."}},
		"an IAM user with route53:GetChange, and for the one zone route53:ChangeResourceRecordSets with the condition that the record type is TXT and the name _acme-challenge.DOMAIN, and route53:ListResourceRecordSets", ""},
	"gcloud": {[]Variable{{"GCE_PROJECT", "my-project"}, {"GCE_SERVICE_ACCOUNT_FILE", "/etc/keypaird/gcloud.json"}},
		"a service account with the role dns.admin for the one zone", ""},
	"azuredns": {[]Variable{{"AZURE_CLIENT_ID", "..."}, {"AZURE_TENANT_ID", "..."}, {"AZURE_CLIENT_SECRET_FILE", "/etc/keypaird/azure"}},
		"a service principal with the role DNS Zone Contributor for the one zone", ""},
	"ovh": {[]Variable{{"OVH_ENDPOINT", "ovh-eu"}, {"OVH_APPLICATION_KEY", "..."}, {"OVH_APPLICATION_SECRET_FILE", "/etc/keypaird/ovh"}, {"OVH_CONSUMER_KEY_FILE", "/etc/keypaird/ovh-consumer"}},
		"a consumer key for GET, POST, PUT and DELETE of /domain/zone/DOMAIN/* alone", ""},
	"pdns": {[]Variable{{"PDNS_API_URL", "http://127.0.0.1:8081/"}, {"PDNS_API_KEY_FILE", "/etc/keypaird/pdns"}},
		"the API key may change every zone: let the API listen on loopback, or delegate _acme-challenge to acme-dns", ""},
	"acme-dns": {[]Variable{{"ACME_DNS_API_BASE", "https://auth.example.org"}, {"ACME_DNS_STORAGE_PATH", "/var/lib/keypaird/acme-dns.json"}},
		"it can change nothing but the TXT records that _acme-challenge is a CNAME to", ""},
	"inwx": {[]Variable{{"INWX_USERNAME", "..."}, {"INWX_PASSWORD_FILE", "/etc/keypaird/inwx"}}, "a sub-account with the role DNS for the one domain", ""},
}

// secret matches the names of variables that hold secrets.
var secret = regexp.MustCompile(`(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|APIKEY|_KEY|_PASS)$`)

// recommend replaces lego's example by what should be used.
func (d *Description) recommend() {
	if own, ok := recommendations[d.Code]; ok {
		d.Example, d.Rights, d.Lines = own.env, own.rights, slices.Collect(strings.Lines(own.lines))
		return
	}
	for i, v := range d.Example {
		if secret.MatchString(v.Name) {
			d.Example[i] = Variable{v.Name + "_FILE", "/etc/keypaird/" + strings.ToLower(v.Name)}
		}
	}
}
