package config

import (
	"time"

	"keypaird/cmd/keypaird/config/fleetrule"
)

// Config is the configuration file, and its manual. The file is TOML; it is
// looked for at -config, then $KEYPAIRD_CONFIG, then
// /etc/keypaird/keypaird.toml. Only its owner, root or the user who runs keypaird,
// may be able to write or replace it. An unknown key is an error.
//
// Durations are Go durations: "90s", "2m", "1h30m". Names of tables, such as
// "ns" in [dns.ns], have the characters a-z 0-9 . _ - and begin with a letter
// or digit. Names with dots need quotes in TOML: [identity."example.org"]. Names to
// certify may be written in any case and in any script; their ASCII form is used.
type Config struct {
	// Mail address that CAs may write to. Default: "", none.
	Email string `toml:"email"`

	// Directory that keypaird keeps everything in. Default: $STATE_DIRECTORY
	// if it is set, else /var/db/keypaird on BSDs, else /var/lib/keypaird.
	State string `toml:"state"`

	// CAs, tried in order: names of [ca] tables, or letsencrypt,
	// zerossl, google, buypass-free, sslcom, actalis, or, for tests,
	// letsencrypt-staging, google-staging, buypass-free-staging.
	// Default: ["letsencrypt"].
	SignWith []string `toml:"sign_with"`

	// When the daemon checks every target: a cron line of five fields, or
	// "@every" and a duration from "1m" to "744h". A target that is due earlier is
	// processed earlier. A cron line is in local time, unless it begins with a time
	// zone such as "TZ=Europe/Berlin "; each daemon adds a delay of its own of up to
	// 30 seconds. Default: "@every 30m".
	Schedule string `toml:"schedule"`

	// Minutes in which the daemon may deploy, as a cron line with or without a time zone:
	// "* 3 * * *" is from 3:00 to 3:59. A pair that is not in use yet, or that replaces one which
	// expires soon, is deployed at once; so is every pair by keypaird issue.
	// Default: "", any minute.
	Window string `toml:"window"`

	// Type of key: ec256, ec384, rsa2048, rsa3072 or rsa4096. Default: ec256.
	Key string `toml:"key"`

	// ACME profile. Default: "", which lets the CA choose.
	Profile string `toml:"profile"`

	// Common name of the root that the chain should lead to. Default: "", the
	// CA's default chain.
	PreferredChain string `toml:"preferred_chain"`

	// Orders in progress at the same time, 1 to 64. Default: 8.
	Parallel int `toml:"parallel"`

	CA       map[string]CA       `toml:"ca"`
	HTTP01   HTTP01              `toml:"http-01"`
	TLSALPN  TLSALPN             `toml:"tls-alpn"`
	DNS      map[string]DNS      `toml:"dns"`
	Identity map[string]Identity `toml:"identity"`
	Cert     map[string]Cert     `toml:"cert"`
	Deploy   map[string]Deploy   `toml:"deploy"`
	Notify   Notify              `toml:"notify"`
	Status   Status              `toml:"status"`
	Fleet    Fleet               `toml:"fleet"`
}

// CA is a [ca.NAME] table: a CA of your own, or settings that a
// built-in one needs, such as its external account.
type CA struct {
	// URL of the ACME directory, https. Required unless NAME is built in.
	Directory string `toml:"directory"`

	// PEM file with root certificates for the CA's own TLS. Group and others must not
	// be able to write it. Default: the system's roots.
	Roots string `toml:"roots"`

	// External account binding: key identifier, and the file that holds the
	// HMAC key in base64url as the CA issued it. Both or none.
	EABKid      string `toml:"eab_kid"`
	EABHMACFile string `toml:"eab_hmac_file"`

	// Name of the CA that stands for this one in keypaird issue -dry-run. Default:
	// the twin of a built-in CA that has one.
	Staging string `toml:"staging"`
}

// HTTP01 is the [http-01] table.
type HTTP01 struct {
	// Address that challenges are answered on, while an order needs it: "host:port",
	// ":port" for every address of both families, "fd:NAME" for a socket of
	// the service manager, or "" to leave it to a web server that serves
	// STATE/http-01. CAs ask on port 80. Default: ":80".
	Listen string `toml:"listen"`

	// Directory that a web server serves as /.well-known/acme-challenge/. Tokens are
	// written into it, and keypaird does not listen.
	// Default: none.
	Webroot string `toml:"webroot"`

	// Ask for each token at every address of its name before the CA does; a wrong
	// answer or a refused connection stops the order. Write false where CAs get other
	// answers than this machine (hairpin NAT, split DNS). Default: true.
	SelfTest bool `toml:"self_test"`
}

// TLSALPN is the [tls-alpn] table, with keys as in [http-01]. CAs connect to port 443: a
// server there passes connections with ALPN "acme-tls/1" on, as examples/tls-alpn does.
type TLSALPN struct {
	Listen   string `toml:"listen"`    // Default: ":443".
	SelfTest bool   `toml:"self_test"` // Default: true.
}

// DNS is a [dns.NAME] table: an account at a DNS provider. There may be
// several of one provider.
type DNS struct {
	// One of lego's providers: "keypaird dns" lists them. Required.
	Provider string `toml:"provider"`

	// The provider's variables: "keypaird dns PROVIDER" lists them. Each may be
	// given as VARIABLE_FILE, the file that holds the value. A secret may be
	// written here only if the owner alone can read the configuration; a file with a
	// secret must not be readable for users beside its owner and group.
	Env map[string]string `toml:"env"`

	// Resolvers, "address" or "address:port", that are queried until a record is
	// visible. Default: the authoritative servers are queried.
	Resolvers []string `toml:"resolvers"`

	// Longest wait for a record to become visible, at most "24h". Default: "2m".
	Propagation Duration `toml:"propagation"`

	// The user keypaird-dns runs as when keypaird is root; not root itself. Accounts
	// with users of their own are kept from each other. Files named in env may be
	// root's alone: keypaird hands them over. Default: "_keypaird-dns".
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

	// More names on the plain domain's certificate, validated as the domain is.
	// Default: none.
	Components []string `toml:"components"`

	// How the plain domain is validated: the name of a [dns] table, or "persist"
	// for dns-persist-01, which takes one record and no account. Required.
	DNS string `toml:"dns"`

	// How the host is validated: "" by http-01, or a value as for dns. Default: "".
	HostDNS string `toml:"host_dns"`

	// Deployments: presets (keypaird deploy -list) or [deploy] tables. Default: none.
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
	// The names, by challenge. IP addresses can only use http-01 and tls-alpn-01,
	// which wildcards cannot use.
	HTTP01       []string `toml:"http-01"`
	TLSALPN01    []string `toml:"tls-alpn-01"`
	DNS01        []string `toml:"dns-01"`
	DNSPersist01 []string `toml:"dns-persist-01"`

	// The [dns] table for the dns-01 names. Required if there are any.
	DNS string `toml:"dns"`

	// Instead of all of these: a certificate that you or another program obtain, such
	// as one of a private CA. It is deployed and verified like the others, with the
	// same notifications, and never ordered:
	// external = { chain = "/root/external.pem", key = "/root/external.key" }
	External External `toml:"external"`

	// Names of TLSA records by which peers know the key (DANE), each
	// "_port._proto.host" with a host that is certified here:
	// ["_25._tcp.mx1.example.org"]. keypaird then makes each key long before it is
	// used. keypaird status shows two records, for the key in use and for the next
	// one: publish both. A renewal uses the next key if its record has been visible at
	// every name server of the zone for two of its TTLs, and keeps the key otherwise,
	// even with -force. Resolvers of the [dns] table are queried instead of the name
	// servers. An [identity] has no tlsa, since the key that a server shows there
	// depends on SNI: list the host in a [cert]. Default: none; each certificate has a
	// new key.
	TLSA []string `toml:"tlsa"`

	// Deployments: presets (keypaird deploy -list) or [deploy] tables. Default: none.
	Deploy []string `toml:"deploy"`

	// Each may override the top; not beside external.
	Key            string   `toml:"key"`
	Profile        *string  `toml:"profile"`
	SignWith       []string `toml:"sign_with"`
	PreferredChain *string  `toml:"preferred_chain"`
}

// External is external of a [cert] table: files that you, or a program of
// yours, write and replace in time. The daemon imports changed files within
// seconds, keypaird issue at once: a complete pair is copied into the state
// directory and deployed from there. An incomplete one, such as a new chain with the
// old key, changes nothing; it is read again after a minute, ten minutes and so on,
// and whenever it changes, and the third failure is notified. The expiry is
// notified from 30 days before it, or from a sixth of the lifetime if that is
// shorter.
//
// To let keypaird obtain the certificate, write http-01 or dns-01 in place of
// external. With the same names and type of key, the external certificate is used
// until it is due; otherwise the first order is placed at once, and the external
// certificate is used until that is done.
type External struct {
	// PEM file with the certificate first, then the intermediates. Other users must
	// not be able to write it. The path is absolute, outside the state directory, and
	// not one that a deployment writes. Required.
	Chain string `toml:"chain"`

	// PEM file with its private key, without a passphrase. Users beside its owner
	// and group must have no permissions on it. The path is as for chain. Required.
	Key string `toml:"key"`
}

// Deploy is a [deploy.NAME] table: one server that uses pairs. A preset
// needs no table; a table may override any of its fields, also by "" or []. A key that is
// left out has the preset's value.
type Deploy struct {
	// The preset to begin with, one of those that keypaird deploy -list prints.
	// Default: NAME, if that is a preset, else none.
	Preset string `toml:"preset"`

	// Files to write, absolute; {name} stands for the target's name. chain is
	// leaf and intermediates, combined is key then chain. No two targets may share one,
	// and none lies in the state directory. A symbolic link is written through. Default:
	// none; the server reads STATE/certs/NAME/live.
	Chain         *string `toml:"chain"`
	Key           *string `toml:"key"`
	Combined      *string `toml:"combined"`
	Leaf          *string `toml:"leaf"`
	Intermediates *string `toml:"intermediates"`

	// A file to write as those above: key and chain as PKCS#12 (.p12, .pfx), for Java,
	// Windows and appliances, encrypted with a password. Default: none.
	PKCS12 *string `toml:"pkcs12"`

	// File with the password of pkcs12, in one line, absolute. Users beside its owner
	// and group must have no permissions on it. A new password takes effect with the next
	// pass. Required with pkcs12.
	PKCS12PasswordFile *string `toml:"pkcs12_password_file"`

	// Whether pkcs12 is encrypted with Triple DES and SHA-1, as everything can read,
	// instead of AES-256 and SHA-256: for Java before 8u301, Windows before Server
	// 2019, the keychain of macOS, and appliances that refuse the file otherwise.
	// Default: false.
	PKCS12Legacy bool `toml:"pkcs12_legacy"`

	// Owner and group of the files, by name or number. Default: the user and group
	// keypaird runs as.
	Owner *string `toml:"owner"`
	Group *string `toml:"group"`

	// Permissions, octal. Default: "0644" for chain and its parts, "0600" for key,
	// combined and pkcs12, which other users may never read. Group and others can write none.
	ChainMode *string `toml:"chain_mode"`
	KeyMode   *string `toml:"key_mode"`

	// A program and its arguments, absolute or found in the usual directories,
	// run without a shell when the new files are in place, before the reload.
	Check *[]string `toml:"check"`

	// A program and its arguments, as for check, that makes the server use the new
	// files. It also replaces the preset's restart, which is for servers that do not
	// survive a reload.
	Reload *[]string `toml:"reload"`

	// haproxy's stats socket (level admin): pairs are changed through it, and
	// reload is run for changes that it cannot make. Who listens there must be root, the
	// user keypaird runs as, or a user who can read the deployed file. Default: "", none.
	Socket *string `toml:"socket"`

	// Endpoints that must serve the new certificate, each as "[proto:]host:port" or as
	// { endpoint = "[proto:]host:port", names = ["..."] }. proto: tls, https,
	// xmpp-client, xmpp-server, smtp, imap, pop3, sieve, ftp, ldap, postgres, mysql;
	// default: that of a well-known port (5222 xmpp-client, 5269 xmpp-server, 25 and 587
	// smtp, 143 imap, 110 pop3, 4190 sieve, 21 ftp, 389 ldap, 5432 postgres, 3306 mysql),
	// else tls. Default: none; nothing is verified then.
	Verify []Endpoint `toml:"verify"`

	// Whether pairs of CAs for tests, such as letsencrypt-staging, are deployed, too:
	// clients do not trust them. Default: false.
	Staging bool `toml:"staging"`

	// Time limit for each command, and for the verification. At most "24h".
	// Default: "1m".
	Timeout Duration `toml:"timeout"`

	// Nodes of the [fleet] that have this server. Default: all.
	Nodes []string `toml:"nodes"`
}

// Endpoint is one item of verify.
type Endpoint struct {
	// "[proto:]host:port". Required.
	Endpoint string `toml:"endpoint"`

	// Names that are requested there, of the targets that are deployed. Default: the names
	// of an identity that its peers request by the protocol: of xmpp-server (also on
	// 5270) the plain domain and the components, of xmpp-client (also on 5223) the plain
	// domain, of https, 443, 8448 and mail all but the components, at other ports all;
	// and every name of a [cert].
	Names []string `toml:"names"`
}

// Notify is the [notify] table.
type Notify struct {
	// A program and its arguments that the daemon runs to notify the operator. Its
	// environment has KEYPAIRD_EVENT: failing, after the third failure or when less
	// than a quarter of the lifetime is left; expiring, when the pair in use was not
	// replaced in time, or was revoked and is not replaced yet; recovered, when that
	// is over. The first two are repeated daily while they last. KEYPAIRD_NAMES has
	// the targets, KEYPAIRD_ERROR the problem and KEYPAIRD_REMEDY the remedy. For one
	// target there are also KEYPAIRD_NAME, and about the pair in use KEYPAIRD_DIR,
	// KEYPAIRD_FULLCHAIN, KEYPAIRD_KEY, KEYPAIRD_FINGERPRINT and KEYPAIRD_NOT_AFTER.
	// The program is killed after a minute; if it fails, it is run again later.
	// keypaird issue sends no notifications: its output and exit status are there to
	// see.
	// Default: none.
	Command []string `toml:"command"`
}

// Status is the [status] table.
type Status struct {
	// Address that the daemon serves its page on, /status.json, /metrics and /healthz:
	// "host:port"; "unix:/path" for a socket that only the user keypaird runs as
	// can use, in a directory that only root and that user can write; or "fd:NAME" for a socket of the service manager; its unit sets the
	// permissions. There is no authentication: use 127.0.0.1 or [::1]. Default: "",
	// it is not served.
	Listen string `toml:"listen"`

	// Names that requests use, beside addresses, localhost, the machine's name and those of
	// the certificates; others are refused (DNS rebinding). Default: none.
	Names []string `toml:"names"`
}

// Fleet is the [fleet] table: several machines that need the same certificates. One of
// them orders for all, and the others take pairs from an engine, etcd, where all meet.
// Every machine serves from its own state directory and goes on without the engine.
// They have one configuration: deployments that not all have name their nodes. keypaird
// fleet init begins a fleet. One member of the engine is fine, three are better, two are
// worse than one.
type Fleet struct {
	// URLs of the members of the engine, with their ports. https, but on this machine
	// also http: ["https://10.0.0.1:2379"]. Required.
	Engine []string `toml:"engine"`

	// What the keys of this fleet begin with. Default: "/keypaird/".
	Prefix string `toml:"prefix"`

	// How the engine is reached by https:
	// tls = { ca = "/etc/keypaird/engine-ca.pem", cert = "/etc/keypaird/engine.pem", key = "/etc/keypaird/engine.key" }
	TLS EngineTLS `toml:"tls"`

	// File with the password of a user of the engine; users beside its owner and group
	// must not be able to read it. Default: none, the engine knows nodes by cert of tls.
	PasswordFile string `toml:"password_file"`

	// The user. Default: the name of the node.
	User string `toml:"user"`

	// Nodes that may order, the first choice first. Only these need the secrets of
	// [dns] and [ca] tables and reach the CAs; they have the keys of all certificates
	// and accounts: one or two, and not those that the world reaches. Required.
	Order []string `toml:"order"`

	// How many nodes deploy a new certificate first, and how many then, once it was
	// seen to be served there: numbers of nodes, then percentages, each larger than
	// the one before, and "100%" last. Default: ["1", "25%", "100%"].
	Waves []string `toml:"waves"`

	// How long a wave is watched before the next. Default: "0s".
	Bake Pause `toml:"bake"`

	// Name of this node. Default: the name of the host, in full or without its domain.
	Node string `toml:"node"`

	// The table [fleet.nodes] has a line for each node, which keypaird fleet key prints
	// there. Private keys are encrypted to the nodes, and what is in the engine is
	// checked with these lines. A node has a list of two while its key is exchanged. New
	// pairs are deployed in the order of the lines. Required.
	Nodes Nodes `toml:"nodes"`
}

// EngineTLS is tls of [fleet].
type EngineTLS struct {
	// PEM file with the certificate of the CA that certified the engine. Default: the
	// system's roots.
	CA string `toml:"ca"`

	// PEM files with the certificate that the engine knows this node by, and its key,
	// which users beside its owner and group must not be able to read. The engine's
	// own certificates cannot be of this fleet: a store must not need itself.
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// A Duration is a time.Duration in TOML text.
type Duration struct{ time.Duration }

// A Pause is a Duration that may be zero.
type Pause Duration

// Nodes are the lines of [fleet.nodes] in their order.
type Nodes = fleetrule.Nodes
