package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keypaird/acme/authority"
	"keypaird/renew/keypair/pairtest"
)

// sample is the configuration of the design, with everything that there is.
const sample = `
email    = "hostmaster@example.org"   # optional
state    = "$DIR/state"
sign_with = ["letsencrypt"]
schedule = "@every 30m"
window   = "* 3 * * *"
key      = "ec256"
profile  = ""
parallel = 8

[ca.internal]
directory = "https://ca.example.net/acme/directory"
roots     = "$DIR/internal.pem"
eab_kid   = "kid-1"
staging   = "letsencrypt-staging"
eab_hmac_file = "$DIR/hmac"

[http-01]
listen  = ":80"
webroot = "$DIR/www"
self_test = false

[tls-alpn]
listen = "127.0.0.1:8404"
self_test = true

[dns.ns]
provider = "rfc2136"
env      = { RFC2136_NAMESERVER = "192.0.2.53", RFC2136_TSIG_FILE = "$DIR/secret" }
resolvers = ["192.0.2.53:53"]
propagation = "2m"

[identity."example.org"]
host       = "matrix.example.org"
services   = ["matrix", "xmpp"]
components = ["conference.example.org"]
dns        = "ns"
host_dns   = ""
deploy     = ["relayd"]
one_certificate = false

[cert.mail]
http-01 = ["mail.example.org"]
dns-01  = ["example.org", "*.example.org"]
dns     = "ns"
deploy  = ["postfix"]
key     = "rsa2048"
profile = "shortlived"
sign_with = ["internal"]
dns-persist-01 = ["example.net"]
tls-alpn-01 = ["mx.example.org", "192.0.2.1"]
tlsa    = ["_25._tcp.mail.example.org"]

[cert.shop]
external = { chain = "/root/shop.pem", key = "/root/shop.key" }
deploy   = ["postfix"]

[deploy.relayd]
preset  = "relayd"
chain   = "/etc/ssl/{name}.crt"
key     = "/etc/ssl/private/{name}.key"
combined = ""
leaf = ""
intermediates = ""
pkcs12 = "/etc/ssl/private/{name}.p12"
pkcs12_password_file = "$DIR/secret"
pkcs12_legacy = false
owner   = "root"
group   = "$GROUP"
chain_mode = "0644"
key_mode   = "0600"
check   = ["relayd", "-n"]
reload  = ["rcctl", "reload", "relayd"]
verify  = ["127.0.0.1:443", { endpoint = "xmpp-server:127.0.0.1:5269", names = ["example.org"] }]
timeout = "1m"

[deploy.postfix]
reload = ["postfix", "reload"]
nodes  = ["mx1"]

[fleet]
engine = ["https://10.0.0.1:2379"]
prefix = "/keypaird/example/"
tls    = { ca = "$DIR/internal.pem" }
user   = "mx1"
password_file = "$DIR/secret"
order  = ["mx1"]
waves  = ["1", "25%", "100%"]
bake   = "1m"
node   = "mx1"

[fleet.nodes]
mx1 = "age12z29vdtu6yzlturn4u4kdnn4dhlf0vdhd925q6y6satjchqrpgwq3xhfxj ed25519:vIX0Wk6PuIzZ1PbXKzuk2eOCAtnnO1EFjNX90oX3AXxqQ1u+"

[notify]
command = ["/usr/local/bin/tell-admin"]

[status]
listen = "127.0.0.1:8403"
`

// rootGroup is the name of group 0.
func rootGroup(t *testing.T) string {
	t.Helper()
	g, err := user.LookupGroupId("0")
	try(t, err)
	return g.Name
}

// rootsFile makes a PEM file with a certificate.
func rootsFile(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	try(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	try(t, err)
	writeFile(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
}

func TestSample(t *testing.T) {
	dir := configDir(t)
	rootsFile(t, dir+"/internal.pem")
	try(t, os.Mkdir(dir+"/www", 0o755))
	cfg, err := loadText(t, dir, strings.ReplaceAll(sample, "$GROUP", rootGroup(t)))
	if err != nil {
		t.Fatalf("%v\n%s", err, tell(t, dir, err))
	}
	var got []string
	for _, target := range cfg.Targets() {
		for _, p := range target.Challenges {
			got = append(got, strings.Join([]string{target.Name, p.Name, p.Type, p.Account, target.Key, target.Profile, target.SignWith[0], target.Deploy[0]}, " "))
		}
	}
	want := []string{
		"example.org conference.example.org dns-01 ns ec256  letsencrypt relayd",
		"example.org example.org dns-01 ns ec256  letsencrypt relayd",
		"mail *.example.org dns-01 ns rsa2048 shortlived internal postfix",
		"mail 192.0.2.1 tls-alpn-01  rsa2048 shortlived internal postfix",
		"mail example.net dns-persist-01  rsa2048 shortlived internal postfix",
		"mail example.org dns-01 ns rsa2048 shortlived internal postfix",
		"mail mail.example.org http-01  rsa2048 shortlived internal postfix",
		"mail mx.example.org tls-alpn-01  rsa2048 shortlived internal postfix",
		"matrix.example.org matrix.example.org http-01  ec256  letsencrypt relayd",
	}
	if !slices.Equal(got, want) {
		t.Errorf("targets:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	ca, err := cfg.Authority("internal")
	if err != nil || ca.Name != "internal" || ca.Directory != "https://ca.example.net/acme/directory" || ca.Roots == nil || ca.EABKeyID != "kid-1" || ca.EABHMAC != "c2VjcmV0+/8=" {
		t.Errorf("CA: %+v, %v", ca, err)
	}
}

// Every key of the manual is in the sample, but for those that are new since.
func TestSampleIsComplete(t *testing.T) {
	manual, err := os.ReadFile("config.go")
	try(t, err)
	for _, m := range regexp.MustCompile("`toml:\"(.*)\"`").FindAllSubmatch(manual, -1) {
		key := string(m[1])
		if key != "preferred_chain" && key != "socket" && key != "user" && key != "endpoint" && key != "names" && !regexp.MustCompile(`(?m)^(\[|)`+key+`\b`).MatchString(sample) {
			t.Errorf("the sample lacks %q", key)
		}
	}
}

// The examples load once the files that they name are there.
// Each deployment is verified: many a reload succeeds without the certificate.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../../examples/*/keypaird.toml")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			dir := configDir(t)
			text, err := os.ReadFile(file)
			try(t, err, os.Mkdir(dir+"/acme", 0o755))
			here := strings.ReplaceAll(string(text), "/etc/keypaird/engine", "$DIR/engine")
			here = regexp.MustCompile(`/etc/keypaird/[a-z-]+`).ReplaceAllString(here, "$$DIR/secret")
			here = strings.NewReplacer("/var/www/acme", "$DIR/acme", `"matrix-synapse"`+"\nkey_mode", `"`+rootGroup(t)+`"`+"\nkey_mode",
				`"tomcat"`+"\nkey_mode", `"`+rootGroup(t)+`"`+"\nkey_mode").Replace(here)
			if strings.Contains(here, "[fleet]") {
				engineFiles(t, dir+"/engine")
				testFleet(t, dir, here)
				return
			}
			cfg, err := loadText(t, dir, here)
			if err != nil {
				t.Fatalf("%v\n%s", err, tell(t, dir, err))
			}
			if len(cfg.Targets()) == 0 || len(cfg.Targets()[0].Deploy) == 0 {
				t.Errorf("targets: %+v", cfg.Targets())
			}
			for name, d := range cfg.Deploy {
				if len(d.Verify) == 0 {
					t.Errorf("[deploy.%s] has no verify", name)
				}
			}
			if len(cfg.Deploy) == 0 {
				t.Error("no [deploy] table, and so no verify")
			}
		})
	}
}

// engineFiles makes the files that a node reaches the engine with.
func engineFiles(t *testing.T, dir string) {
	t.Helper()
	pair, err := pairtest.Issue([]string{"mx1"}, time.Now(), time.Hour)
	try(t, err, os.Mkdir(dir, 0o700))
	rootsFile(t, dir+"/ca.pem")
	writeFile(t, dir+"/node.pem", string(pair.FullChain()), 0o644)
	writeFile(t, dir+"/node.key", string(pair.Key()), 0o600)
}

// testFleet loads the example of a fleet as each of its nodes, once the lines of these are
// in it. Each deployment is on some node, and verified.
func testFleet(t *testing.T, dir, text string) {
	const placeholder = `"age1... ed25519:..."`
	nodes := regexp.MustCompile(`(?m)^(\w+) += `+placeholder).FindAllStringSubmatch(text, -1)
	if len(nodes) < 2 {
		t.Fatalf("%d nodes", len(nodes))
	}
	for i := range nodes {
		text = strings.Replace(text, placeholder, `"`+[]string{line1, line2, line3, line4}[i]+`"`, 1)
	}
	file := filepath.Join(dir, "keypaird.toml")
	writeFile(t, file, strings.ReplaceAll(text, "$DIR", dir), 0o600)
	deployed := map[string]bool{}
	for _, node := range nodes {
		cfg, err := Load(Options{Path: file, Getenv: noEnv, Hostname: func() (string, error) { return node[1] + ".example.org", nil }})
		if err != nil {
			t.Fatalf("%s: %v\n%s", node[1], err, tell(t, dir, err))
		}
		if len(cfg.Targets()) == 0 || cfg.Fleet.Node != node[1] {
			t.Errorf("%s: %+v", node[1], cfg.Fleet)
		}
		for _, target := range cfg.Targets() {
			for _, name := range target.Deploy {
				deployed[name] = len(cfg.Deploy[name].Verify) > 0
			}
		}
	}
	if len(deployed) == 0 || slices.Contains(slices.Collect(maps.Values(deployed)), false) {
		t.Errorf("deployments, and whether they are verified: %v", deployed)
	}
}

// What an empty file stands for, and where state is kept.
func TestDefaults(t *testing.T) {
	for _, tt := range []struct{ goos, env, want string }{
		{"linux", "", "/var/lib/keypaird"},
		{"darwin", "", "/var/lib/keypaird"},
		{"openbsd", "", "/var/db/keypaird"},
		{"freebsd", "", "/var/db/keypaird"},
		{"netbsd", "", "/var/db/keypaird"},
		{"openbsd", "/srv/state", "/srv/state"},
		{"linux", "/srv/state:/srv/other", "/srv/state"},
	} {
		cfg := defaults(func(string) string { return tt.env }, tt.goos)
		if cfg.State != tt.want {
			t.Errorf("on %s with STATE_DIRECTORY=%s: %s, want %s", tt.goos, tt.env, cfg.State, tt.want)
		}
	}
	file := filepath.Join(t.TempDir(), "keypaird.toml")
	writeFile(t, file, okCert, 0o600)
	_, err := Load(Options{Path: file, Getenv: func(key string) string { return map[string]string{"STATE_DIRECTORY": "state"}[key] }})
	if err == nil || err.Error() != file+`: state: "state" is not an absolute path` {
		t.Errorf("relative $STATE_DIRECTORY: %v", err)
	}
	cfg, mistakes := Options{}.parse("f", okCert, 0o600, defaults(noEnv, "linux"))
	if len(mistakes) > 0 || cfg.Schedule != "@every 30m" || cfg.Key != "ec256" || cfg.Parallel != 8 || cfg.HTTP01.Listen != ":80" || !slices.Equal(cfg.SignWith, []string{"letsencrypt"}) {
		t.Errorf("defaults: %+v, %v", cfg, mistakes)
	}
	if _, ok := authority.BuiltIn(cfg.SignWith[0]); !ok {
		t.Error("the default CA is not built in")
	}
}
