package config

import (
	"time"
)

// Config is the configuration file, and its manual. The file is TOML; it is
// looked for at -config, then $KEYPAIRD_CONFIG, then
// /etc/keypaird/keypaird.toml. Nobody but its owner (root or whoever runs
// keypaird) may be able to write it or to put another in its place. An unknown
// key is a mistake.
//
// Durations are Go durations: "90s", "2m", "1h30m". Names of tables, such as
// "ns" in [dns.ns], are of the characters a-z 0-9 . _ - and begin with a letter
// or digit; what TOML wants in quotes, such as names with dots, stands in
// quotes: [identity."example.org"]. Names to certify may be written as people
// do, in any case and in any script: what is used is their ASCII form.
type Config struct {
	// Contact that CAs may write to. Default: none.
	Email string `toml:"email"`

	// Directory that keypaird keeps everything in. Default: $STATE_DIRECTORY
	// if it is set, else /var/db/keypaird on BSDs, else /var/lib/keypaird.
	State string `toml:"state"`

	// CAs, tried in order: names of [ca] tables, or letsencrypt,
	// letsencrypt-staging, zerossl, google, buypass-free, sslcom, actalis.
	// Default: ["letsencrypt"].
	SignWith []string `toml:"sign_with"`

	// When the daemon looks at every target: a cron line of five fields, or
	// "@every" and a duration from "1m" to "744h". What a target needs in
	// between, it gets in between. A cron line is of local time, unless
	// "TZ=Europe/Berlin " or the like stands before it, and each daemon adds up
	// to half a minute of its own. Default: "@every 30m".
	Schedule string `toml:"schedule"`

	// Minutes in which the daemon may deploy, as a cron line: "* 3 * * *" is
	// from three to four in the morning. A pair that is not in use yet, or ends
	// soon, is not kept waiting, and neither is a person who runs keypaird
	// issue. Default: any.
	Window string `toml:"window"`

	// Type of key: ec256, ec384, rsa2048, rsa3072 or rsa4096. Default: ec256.
	Key string `toml:"key"`

	// ACME profile. Default: "", which lets the CA choose.
	Profile string `toml:"profile"`

	// Common name of the root that the chain should lead to. Default: "", the
	// CA's default chain.
	PreferredChain string `toml:"preferred_chain"`

	// Orders at once, 1 to 64. Default: 8.
	Parallel int `toml:"parallel"`

	CA       map[string]CA       `toml:"ca"`
	HTTP01   HTTP01              `toml:"http-01"`
	DNS      map[string]DNS      `toml:"dns"`
	Identity map[string]Identity `toml:"identity"`
	Cert     map[string]Cert     `toml:"cert"`
	Deploy   map[string]Deploy   `toml:"deploy"`
	Notify   Notify              `toml:"notify"`
	Status   Status              `toml:"status"`
}

// CA is a [ca.NAME] table: a CA of your own, or what a built-in one
// lacks, such as its external account.
type CA struct {
	// URL of the ACME directory, https. Required unless NAME is built in.
	Directory string `toml:"directory"`

	// PEM file of root certificates for the CA's own TLS, that nobody else can
	// write. Default: the system's.
	Roots string `toml:"roots"`

	// External account binding: key identifier, and the file that holds the
	// HMAC key in base64url as the CA handed it out. Both or none.
	EABKid      string `toml:"eab_kid"`
	EABHMACFile string `toml:"eab_hmac_file"`
}

// HTTP01 is the [http-01] table.
type HTTP01 struct {
	// Where challenges are answered, while an order needs it: "host:port",
	// ":port" for every address of both families, "fd:NAME" for a socket of
	// the service manager, or "" to leave it to a web server that shows
	// STATE/http-01. CAs ask on port 80. Default: ":80".
	Listen string `toml:"listen"`

	// Directory that a web server shows as /.well-known/acme-challenge/:
	// tokens are written straight into it, and nothing is listened on.
	// Default: none.
	Webroot string `toml:"webroot"`
}

// DNS is a [dns.NAME] table: an account at a DNS provider. There may be
// several of one provider.
type DNS struct {
	// One of lego's providers: "keypaird dns" lists them. Required.
	Provider string `toml:"provider"`

	// The provider's variables: "keypaird dns PROVIDER" lists them. Each may be
	// given as VARIABLE_FILE, the file that holds the value. A secret may stand
	// here only if nobody else can read the configuration, and others than the
	// owner and his group may not read its file.
	Env map[string]string `toml:"env"`

	// Resolvers, "address" or "address:port", that are asked whether a record
	// has spread. Default: the authoritative servers are asked.
	Resolvers []string `toml:"resolvers"`

	// Longest wait for a record to spread. Default: 2m.
	Propagation Duration `toml:"propagation"`

	// The user keypaird-dns runs as when keypaird is root. Files named in env
	// must be readable for that user. Default: ourselves.
	User string `toml:"user"`
}

// Identity is an [identity."DOMAIN"] table: a plain domain and the host
// that serves it. It makes two targets: one called DOMAIN, for the plain domain
// and its components, and one called after the host.
type Identity struct {
	// The server. Required. Several identities may have one host; its target
	// then goes to the deployments of all.
	Host string `toml:"host"`

	// What the server does, for discovery and verification: matrix, xmpp,
	// mail, smtp, imap, caldav, sip, web. Default: none.
	Services []string `toml:"services"`

	// More names on the plain domain's certificate, proven as it is.
	Components []string `toml:"components"`

	// How the plain domain is proven: the name of a [dns] table, or "persist"
	// for dns-persist-01, which takes one record and no account. Required.
	DNS string `toml:"dns"`

	// How the host is proven: "" by http-01, or as dns.
	HostDNS string `toml:"host_dns"`

	// Deployments: presets (keypaird deploy -list) or [deploy] tables.
	Deploy []string `toml:"deploy"`

	// One target, called DOMAIN, with all the names, for servers that cannot
	// choose by SNI. Default: false.
	OneCertificate bool `toml:"one_certificate"`

	// Each may override the top.
	Key            string   `toml:"key"`
	Profile        *string  `toml:"profile"`
	SignWith       []string `toml:"sign_with"`
	PreferredChain *string  `toml:"preferred_chain"`
}

// Cert is a [cert.NAME] table: any other certificate.
type Cert struct {
	// The names, by the way each is proven. IP addresses are proven by http-01
	// only, wildcards never by http-01.
	HTTP01       []string `toml:"http-01"`
	DNS01        []string `toml:"dns-01"`
	DNSPersist01 []string `toml:"dns-persist-01"`

	// The [dns] table for the dns-01 names. Required if there are any.
	DNS string `toml:"dns"`

	// Instead of all of these: a certificate that you buy, or make with a CA of
	// your own. It is deployed, verified and told of like the others, and never
	// ordered: external = { chain = "/root/bought.pem", key = "/root/bought.key" }
	External External `toml:"external"`

	// Names of TLSA records by which peers know the key (DANE), each
	// "_port._proto.host" with a host that is certified here:
	// ["_25._tcp.mx1.example.org"]. keypaird then makes each key long before it is
	// used. keypaird status shows two records, of the key in use and of the next
	// one: publish both. A renewal has the next key when its record was visible at
	// every name server of the zone for two of its TTLs, and the same key as before
	// otherwise; -force changes nothing in that. Resolvers of the [dns] table are
	// asked instead of the name servers. An [identity] has none: which key is
	// shown at a name depends on its SNI, so list its host in a [cert]. Default:
	// none; each certificate has a new key.
	TLSA []string `toml:"tlsa"`

	// Deployments: presets (keypaird deploy -list) or [deploy] tables.
	Deploy []string `toml:"deploy"`

	// Each may override the top; not beside external.
	Key            string   `toml:"key"`
	Profile        *string  `toml:"profile"`
	SignWith       []string `toml:"sign_with"`
	PreferredChain *string  `toml:"preferred_chain"`
}

// External is external of a [cert] table: files that you, or a program of
// yours, put there and replace in time. The daemon sees within seconds that they
// have changed, keypaird issue looks at once. A pair that is whole is copied into
// the state directory and deployed from there; for one that is not, such as half
// of a new one, nothing changes: it is read again after a minute, ten minutes and
// so on, and whenever it changes, and the third failure is told of. The end is
// told of from 30 days before it, or from a sixth of the lifetime if that is
// less.
//
// To have keypaird take over, write http-01 or dns-01 in place of external. With
// the same names and type of key, what you bought is used until it is due; else
// the first order is placed at once, and what is there stays in use until then.
type External struct {
	// PEM file with the certificate first, then the intermediates, that others
	// cannot write. Absolute, not in the state directory, and no file that a
	// deployment writes. Required.
	Chain string `toml:"chain"`

	// PEM file with its private key, without a passphrase, that others than the
	// owner and his group can do nothing with. Likewise. Required.
	Key string `toml:"key"`
}

// Deploy is a [deploy.NAME] table: one server that uses pairs. A preset
// needs no table; a table may override any field of it, with "" or [] too.
type Deploy struct {
	// The preset to begin with: apache, caddy, coturn, dendrite, dovecot,
	// ejabberd, haproxy, httpd, mumble, nginx, postfix, prosody, relayd, synapse
	// or tuwunel. Default: NAME, if that is a preset, else none.
	Preset string `toml:"preset"`

	// Files to write, absolute; {name} stands for the target's name. chain is
	// leaf and intermediates, combined is key then chain. No two targets may
	// share one, and none lies in the state directory. Default: none; the
	// server reads STATE/certs/NAME/live.
	Chain    *string `toml:"chain"`
	Key      *string `toml:"key"`
	Combined *string `toml:"combined"`

	// Owner and group of the files, by name or number. Default: whoever runs
	// keypaird.
	Owner *string `toml:"owner"`
	Group *string `toml:"group"`

	// Permissions, octal. Default: "0644" for chain, "0600" for key and
	// combined, which others may never read. None may be written by others.
	ChainMode *string `toml:"chain_mode"`
	KeyMode   *string `toml:"key_mode"`

	// A program and its arguments, absolute or found in the usual directories,
	// run without a shell when the new files are in place, before the reload.
	Check *[]string `toml:"check"`

	// Likewise, to make the server use them. It also takes the preset's restart
	// away, which is for a server that does not survive a reload.
	Reload *[]string `toml:"reload"`

	// haproxy's stats socket (level admin): pairs are changed through it, and
	// reload is for what it cannot do. Default: none.
	Socket *string `toml:"socket"`

	// Endpoints, "[proto:]host:port", that must serve the new certificate for
	// each of its names as SNI. proto: tls (default), https, xmpp-client,
	// xmpp-server, smtp, imap, pop3, sieve.
	Verify []string `toml:"verify"`

	// For each command, and for the verification. Default: 1m.
	Timeout Duration `toml:"timeout"`
}

// Notify is the [notify] table.
type Notify struct {
	// A program and its arguments that the daemon runs to tell a person, as
	// $KEYPAIRD_EVENT says: failing, after the third failure or when less than a
	// quarter of the lifetime is left; expiring, when what is in use was not
	// replaced in time; recovered, when that is over. The first two come again
	// daily while they last. KEYPAIRD_NAMES are the targets, KEYPAIRD_ERROR is
	// what is wrong and KEYPAIRD_REMEDY what can be done. With one target there
	// are also KEYPAIRD_NAME, and of what is in use KEYPAIRD_DIR,
	// KEYPAIRD_FULLCHAIN, KEYPAIRD_KEY, KEYPAIRD_FINGERPRINT and
	// KEYPAIRD_NOT_AFTER. It has a minute; if it fails, it is run again later.
	// keypaird issue tells nobody: whoever runs it sees its output and its exit
	// status. Default: none.
	Command []string `toml:"command"`
}

// Status is the [status] table.
type Status struct {
	// Where the daemon serves its page, /status.json, /metrics and /healthz:
	// "host:port"; "unix:/path" for a socket that only the user keypaird runs as
	// can use; or "fd:NAME" for a socket of the service manager, whose unit says
	// who can. Nobody is asked for a password, so let it be 127.0.0.1 or [::1].
	// Default: nowhere.
	Listen string `toml:"listen"`
}

// A Duration is a time.Duration in TOML text.
type Duration struct{ time.Duration }
