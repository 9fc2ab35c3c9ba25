package child

import (
	"regexp"
)

// A recommendation is what an account of a provider should have: the credential with the
// least rights, from a file.
type recommendation struct {
	env    variables
	rights string // that are enough, as lego and the provider document them
	lines  string // for the DNS server's own configuration
}

// variables are names and values.
type variables [][2]string

// recommendations are those for providers that lego documents with examples that give more
// away than is needed.
var recommendations = map[string]recommendation{
	"rfc2136": {variables{{"RFC2136_NAMESERVER", "192.0.2.53"}, {"RFC2136_TSIG_FILE", "/etc/keypaird/tsig"}},
		"a key of its own, made by tsig-keygen(8) with the name keypaird, and in the zone's block of named.conf, for each name:",
		"update-policy { grant keypaird name _acme-challenge.example.org. TXT; };"},
	"cloudflare": {variables{{"CF_DNS_API_TOKEN_FILE", "/etc/keypaird/cloudflare"}},
		"an API token (not the global key) with the permissions Zone/Zone/Read and Zone/DNS/Edit, for the one zone", ""},
	"hetzner":      {variables{{"HETZNER_API_TOKEN_FILE", "/etc/keypaird/hetzner"}}, "an API token (read and write) of a project that has nothing but the zone", ""},
	"digitalocean": {variables{{"DO_AUTH_TOKEN_FILE", "/etc/keypaird/digitalocean"}}, "a token with the custom scopes domain:read, domain:create, domain:update and domain:delete", ""},
	"gandiv5": {variables{{"GANDIV5_PERSONAL_ACCESS_TOKEN_FILE", "/etc/keypaird/gandi"}},
		"a personal access token for the one domain, with the right to manage its technical configuration", ""},
	"desec": {variables{{"DESEC_TOKEN_FILE", "/etc/keypaird/desec"}},
		"a token with a policy: none by default, and write for TXT records at _acme-challenge of the domain", ""},
	"route53": {variables{{"AWS_ACCESS_KEY_ID", "AKIA..."}, {"AWS_SECRET_ACCESS_KEY_FILE", "/etc/keypaird/aws"}, {"AWS_HOSTED_ZONE_ID", "Z..."}},
		"an IAM user with route53:GetChange, and for the one zone route53:ChangeResourceRecordSets with the condition that the record type is TXT and the name _acme-challenge.DOMAIN, and route53:ListResourceRecordSets", ""},
	"gcloud": {variables{{"GCE_PROJECT", "my-project"}, {"GCE_SERVICE_ACCOUNT_FILE", "/etc/keypaird/gcloud.json"}},
		"a service account with the role dns.admin for the one zone", ""},
	"azuredns": {variables{{"AZURE_CLIENT_ID", "..."}, {"AZURE_TENANT_ID", "..."}, {"AZURE_CLIENT_SECRET_FILE", "/etc/keypaird/azure"}},
		"a service principal with the role DNS Zone Contributor for the one zone", ""},
	"ovh": {variables{{"OVH_ENDPOINT", "ovh-eu"}, {"OVH_APPLICATION_KEY", "..."}, {"OVH_APPLICATION_SECRET_FILE", "/etc/keypaird/ovh"}, {"OVH_CONSUMER_KEY_FILE", "/etc/keypaird/ovh-consumer"}},
		"a consumer key for GET, POST, PUT and DELETE of /domain/zone/DOMAIN/* alone", ""},
	"pdns": {variables{{"PDNS_API_URL", "http://127.0.0.1:8081/"}, {"PDNS_API_KEY_FILE", "/etc/keypaird/pdns"}},
		"the API key may change every zone: let the API listen on loopback, or delegate _acme-challenge to acme-dns", ""},
	"acme-dns": {variables{{"ACME_DNS_API_BASE", "https://auth.example.org"}, {"ACME_DNS_STORAGE_PATH", "/var/lib/keypaird/acme-dns.json"}},
		"it can change nothing but the TXT records that _acme-challenge is a CNAME to", ""},
	"inwx": {variables{{"INWX_USERNAME", "..."}, {"INWX_PASSWORD_FILE", "/etc/keypaird/inwx"}}, "a sub-account with the role DNS for the one domain", ""},
}

// secret matches the names of variables that hold secrets.
var secret = regexp.MustCompile(`(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|APIKEY|_KEY|_PASS)$`)
