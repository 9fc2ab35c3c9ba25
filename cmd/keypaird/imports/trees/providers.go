package trees

import (
	"maps"
	"slices"
	"strings"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// A provider maps another client's words for a DNS provider to lego's.
type provider struct {
	provider string            // lego's code
	names    map[string]string // lego's variables, by the client's
	file     string            // lego's variable for a whole file of credentials; "" if there is none
}

// certbotPlugins are certbot's plugins. Variables are those of the credentials file,
// without the plugin's prefix.
var certbotPlugins = map[string]provider{
	"cloudflare":   {"cloudflare", map[string]string{"api_token": "CF_DNS_API_TOKEN", "email": "CF_API_EMAIL", "api_key": "CF_API_KEY"}, ""},
	"desec":        {"desec", map[string]string{"token": "DESEC_TOKEN"}, ""},
	"digitalocean": {"digitalocean", map[string]string{"token": "DO_AUTH_TOKEN"}, ""},
	"dnsimple":     {"dnsimple", map[string]string{"token": "DNSIMPLE_OAUTH_TOKEN"}, ""},
	"dnsmadeeasy":  {"dnsmadeeasy", map[string]string{"api_key": "DNSMADEEASY_API_KEY", "secret_key": "DNSMADEEASY_API_SECRET"}, ""},
	"gandi":        {"gandiv5", map[string]string{"token": "GANDIV5_PERSONAL_ACCESS_TOKEN", "api_key": "GANDIV5_API_KEY"}, ""},
	"google":       {"gcloud", nil, "GCE_SERVICE_ACCOUNT_FILE"},
	"hetzner":      {"hetzner", map[string]string{"api_token": "HETZNER_API_TOKEN"}, ""},
	"inwx":         {"inwx", map[string]string{"username": "INWX_USERNAME", "password": "INWX_PASSWORD", "shared_secret": "INWX_SHARED_SECRET"}, ""},
	"linode":       {"linode", map[string]string{"key": "LINODE_TOKEN"}, ""},
	"luadns":       {"luadns", map[string]string{"email": "LUADNS_API_USERNAME", "token": "LUADNS_API_TOKEN"}, ""},
	"netcup": {"netcup", map[string]string{
		"customer_id": "NETCUP_CUSTOMER_NUMBER", "api_key": "NETCUP_API_KEY", "api_password": "NETCUP_API_PASSWORD"}, ""},
	"nsone": {"ns1", map[string]string{"api_key": "NS1_API_KEY"}, ""},
	"ovh": {"ovh", map[string]string{
		"endpoint": "OVH_ENDPOINT", "application_key": "OVH_APPLICATION_KEY", "application_secret": "OVH_APPLICATION_SECRET", "consumer_key": "OVH_CONSUMER_KEY"}, ""},
	"porkbun": {"porkbun", map[string]string{"key": "PORKBUN_API_KEY", "secret": "PORKBUN_SECRET_API_KEY"}, ""},
	"rfc2136": {"rfc2136", map[string]string{
		"server": "RFC2136_NAMESERVER", "port": "port", "name": "RFC2136_TSIG_KEY", "secret": "RFC2136_TSIG_SECRET", "algorithm": "RFC2136_TSIG_ALGORITHM"}, ""},
	"route53":     {"route53", nil, ""},
	"sakuracloud": {"sakuracloud", map[string]string{"api_token": "SAKURACLOUD_ACCESS_TOKEN", "api_secret": "SAKURACLOUD_ACCESS_TOKEN_SECRET"}, ""},
}

// acmeshAPIs are acme.sh's dnsapi scripts, by the variables that it saves.
var acmeshAPIs = map[string]provider{
	"dns_ali":           {"alidns", map[string]string{"Ali_Key": "ALICLOUD_ACCESS_KEY", "Ali_Secret": "ALICLOUD_SECRET_KEY"}, ""},
	"dns_aws":           {"route53", map[string]string{"AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY"}, ""},
	"dns_bunny":         {"bunny", map[string]string{"BUNNY_API_KEY": "BUNNY_API_KEY"}, ""},
	"dns_cf":            {"cloudflare", map[string]string{"CF_Token": "CF_DNS_API_TOKEN", "CF_Email": "CF_API_EMAIL", "CF_Key": "CF_API_KEY"}, ""},
	"dns_cloudns":       {"cloudns", map[string]string{"CLOUDNS_AUTH_ID": "CLOUDNS_AUTH_ID", "CLOUDNS_SUB_AUTH_ID": "CLOUDNS_SUB_AUTH_ID", "CLOUDNS_AUTH_PASSWORD": "CLOUDNS_AUTH_PASSWORD"}, ""},
	"dns_desec":         {"desec", map[string]string{"DEDYN_TOKEN": "DESEC_TOKEN"}, ""},
	"dns_dgon":          {"digitalocean", map[string]string{"DO_API_KEY": "DO_AUTH_TOKEN"}, ""},
	"dns_dnsimple":      {"dnsimple", map[string]string{"DNSimple_OAUTH_TOKEN": "DNSIMPLE_OAUTH_TOKEN"}, ""},
	"dns_duckdns":       {"duckdns", map[string]string{"DuckDNS_Token": "DUCKDNS_TOKEN"}, ""},
	"dns_gandi_livedns": {"gandiv5", map[string]string{"GANDI_LIVEDNS_TOKEN": "GANDIV5_PERSONAL_ACCESS_TOKEN", "GANDI_LIVEDNS_KEY": "GANDIV5_API_KEY"}, ""},
	"dns_gd":            {"godaddy", map[string]string{"GD_Key": "GODADDY_API_KEY", "GD_Secret": "GODADDY_API_SECRET"}, ""},
	"dns_hetznercloud":  {"hetzner", map[string]string{"HETZNER_TOKEN": "HETZNER_API_TOKEN"}, ""},
	"dns_infomaniak":    {"infomaniak", map[string]string{"INFOMANIAK_API_TOKEN": "INFOMANIAK_ACCESS_TOKEN"}, ""},
	"dns_inwx":          {"inwx", map[string]string{"INWX_User": "INWX_USERNAME", "INWX_Password": "INWX_PASSWORD", "INWX_Shared_Secret": "INWX_SHARED_SECRET"}, ""},
	"dns_linode_v4":     {"linode", map[string]string{"LINODE_V4_API_KEY": "LINODE_TOKEN"}, ""},
	"dns_lua":           {"luadns", map[string]string{"LUA_Email": "LUADNS_API_USERNAME", "LUA_Key": "LUADNS_API_TOKEN"}, ""},
	"dns_me":            {"dnsmadeeasy", map[string]string{"ME_Key": "DNSMADEEASY_API_KEY", "ME_Secret": "DNSMADEEASY_API_SECRET"}, ""},
	"dns_namesilo":      {"namesilo", map[string]string{"Namesilo_Key": "NAMESILO_API_KEY"}, ""},
	"dns_netcup":        {"netcup", map[string]string{"NC_CID": "NETCUP_CUSTOMER_NUMBER", "NC_Apikey": "NETCUP_API_KEY", "NC_Apipw": "NETCUP_API_PASSWORD"}, ""},
	"dns_njalla":        {"njalla", map[string]string{"NJALLA_Token": "NJALLA_TOKEN"}, ""},
	"dns_nsone":         {"ns1", map[string]string{"NS1_Key": "NS1_API_KEY"}, ""},
	"dns_nsupdate": {"rfc2136", map[string]string{
		"NSUPDATE_SERVER": "RFC2136_NAMESERVER", "NSUPDATE_SERVER_PORT": "port", "NSUPDATE_KEY": "RFC2136_TSIG_FILE"}, ""},
	"dns_ovh": {"ovh", map[string]string{
		"OVH_END_POINT": "OVH_ENDPOINT", "OVH_AK": "OVH_APPLICATION_KEY", "OVH_AS": "OVH_APPLICATION_SECRET", "OVH_CK": "OVH_CONSUMER_KEY"}, ""},
	"dns_pdns":      {"pdns", map[string]string{"PDNS_Url": "PDNS_API_URL", "PDNS_ServerId": "PDNS_SERVER_NAME", "PDNS_Token": "PDNS_API_KEY"}, ""},
	"dns_porkbun":   {"porkbun", map[string]string{"PORKBUN_API_KEY": "PORKBUN_API_KEY", "PORKBUN_SECRET_API_KEY": "PORKBUN_SECRET_API_KEY"}, ""},
	"dns_servercow": {"servercow", map[string]string{"SERVERCOW_API_Username": "SERVERCOW_USERNAME", "SERVERCOW_API_Password": "SERVERCOW_PASSWORD"}, ""},
	"dns_vultr":     {"vultr", map[string]string{"VULTR_API_KEY": "VULTR_API_KEY"}, ""},
}

// fill sets the variables of d from what the client has.
func (p provider) fill(d *DNS, values map[string]string) {
	for theirs, ours := range p.names {
		if v := values[theirs]; v != "" {
			d.Env[ours] = v
		}
	}
	if p.provider != "rfc2136" {
		return
	}
	if server := d.Env["RFC2136_NAMESERVER"]; server != "" && d.Env["port"] != "" && d.Env["port"] != "53" {
		if strings.Contains(server, ":") && !strings.HasPrefix(server, "[") {
			server = "[" + server + "]"
		}
		d.Env["RFC2136_NAMESERVER"] = server + ":" + d.Env["port"]
	}
	delete(d.Env, "port")
	if a := d.Env["RFC2136_TSIG_ALGORITHM"]; a != "" {
		d.Env["RFC2136_TSIG_ALGORITHM"] = strings.TrimSuffix(strings.ToLower(a), ".") + "."
	}
}

// Equal reports whether d and e are the same account.
func (d *DNS) Equal(e *DNS) bool { return d.Provider == e.Provider && maps.Equal(d.Env, e.Env) }

// Variables returns the names of the variables, sorted.
func (d *DNS) Variables() []string { return slices.Sorted(maps.Keys(d.Env)) }

// readPrivate reads a file that a tree names, and that may hold a secret.
func readPrivate(path string) ([]byte, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, problem.Newf("write it from / on", "names %q, which is not an absolute path", path)
	}
	at, err := durable.CheckFile(path)
	if err != nil {
		return nil, problem.Wrap(pathError(path, err), problem.Remedy(err))
	}
	data, err := readOurs(at, maxFile)
	if err != nil {
		return nil, problem.Wrap(pathError(path, err), problem.Remedy(err))
	}
	return data, nil
}
