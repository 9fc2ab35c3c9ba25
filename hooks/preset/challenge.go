package preset

import "strings"

// ChallengeAddress is the address at which keypaird listens behind a web server that has
// port 80 and passes challenges on.
const ChallengeAddress = "127.0.0.1:8402"

// challenges are the lines by which a web server passes http-01 challenges on to ADDRESS,
// or shows the directory WEBROOT in their place.
var challenges = map[string][]string{
	"nginx": {
		"location /.well-known/acme-challenge/ {    # in each server on port 80, and 443 if redirected",
		"\tproxy_pass http://ADDRESS;",
		"}",
	},
	"apache": {
		"# in the virtual hosts on port 80; with mod_proxy and mod_proxy_http",
		"ProxyPass /.well-known/acme-challenge/ http://ADDRESS/.well-known/acme-challenge/",
	},
	"caddy": {
		"handle /.well-known/acme-challenge/* {    # in the sites http://NAME",
		"\treverse_proxy ADDRESS",
		"}",
	},
	"haproxy": {
		"# in the frontend on port 80 (mode http), before other rules",
		"acl acme path_beg /.well-known/acme-challenge/",
		"use_backend keypaird if acme",
		"# and a section of its own",
		"backend keypaird",
		"\tmode http",
		"\tserver keypaird ADDRESS",
	},
	"lighttpd": {
		"# with mod_proxy, before other rules",
		"$HTTP[\"url\"] =~ \"^/.well-known/acme-challenge/\" {",
		"\tproxy.server = ( \"\" => (( \"host\" => \"HOST\", \"port\" => PORT )) )",
		"}",
	},
	"relayd": {
		"table <keypaird> { HOST }",
		"http protocol \"challenges\" {    # of the relay on port 80",
		"\tpass request path \"/.well-known/acme-challenge/*\" forward to <keypaird>",
		"}",
		"forward to <keypaird> port PORT    # in that relay",
	},
	"httpd": {
		"location \"/.well-known/acme-challenge/*\" {    # in each server block on port 80",
		"\troot \"/acme\"    # WEBROOT, by the chroot",
		"\trequest strip 2",
		"}",
	},
}

// webroot is the directory that servers which pass nothing on show for challenges.
const webroot = "/var/www/acme"

// ChallengeFor returns the lines of the configuration of a preset's server that make it
// pass http-01 challenges on to an address, host:port. If it can pass nothing on, it shows
// a directory instead, which is webroot then.
func ChallengeFor(preset, address string) (lines []string, root string) {
	if preset == "httpd" {
		root = webroot
	}
	host, port, _ := strings.Cut(address, ":")
	replace := strings.NewReplacer("ADDRESS", address, "HOST", host, "PORT", port, "WEBROOT", webroot)
	for _, line := range challenges[preset] {
		lines = append(lines, replace.Replace(line))
	}
	return lines, root
}
