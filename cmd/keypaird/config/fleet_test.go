package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Lines of four nodes.
const (
	line1 = "age12z29vdtu6yzlturn4u4kdnn4dhlf0vdhd925q6y6satjchqrpgwq3xhfxj ed25519:vIX0Wk6PuIzZ1PbXKzuk2eOCAtnnO1EFjNX90oX3AXxqQ1u+"
	line2 = "age1s3w0sw2swz8kfpjdswkkvq8kq4w56s9fn0nu3l9saz7wgqt2ep0sh8rzn9 ed25519:QvDi/xFH41PNfFRkMMMtRpC1VrzsFALLIH8ucfpXmvyfYwc1"
	line3 = "age1dplk8qwe3jjef46294zqngq79rnhhs9kt04xu3snttmtykxchc2smllr4u ed25519:/LUAJWnqsMJv10tiX+cOf3nuyK0y9vsYx0F8MAO08WvnsBm+"
	line4 = "age192qwd4exkf9xfms5k0lrvvuus3vj399vhpvn6hqpeku7zmjv8gzqwrkyvm ed25519:bYGoL5fsjrCJnvugwhzlkQ2yohk1aMQPtKcqbJc1HK+X8/aq"
)

const (
	fleetTop   = "[fleet]\nengine = [\"http://127.0.0.1:2379\"]\n"
	fleetOrder = "order = [\"mx1\"]\nnode = \"mx1\"\n"
	fleetNodes = "[fleet.nodes]\nmx1 = \"" + line1 + "\"\nmx2 = \"" + line2 + "\"\n"
)

func TestFleetMistakes(t *testing.T) { testMistakes(t, fleetMistakes) }

var fleetMistakes = []mistaken{
	{"nothing in it", `[fleet]`, `
1: fleet.engine: names no member
-> name its members: engine = ["https://10.0.0.1:2379"]
1: fleet.nodes: names no node
-> run keypaird fleet key on each node, and write what it prints below [fleet.nodes]
1: fleet.order: names no node
-> name the nodes that may order certificates, the first choice first
`},
	{"engine and prefix", `[fleet]
engine = ["http://10.0.0.1:2379", "https://root:hunter2@10.0.0.1:2379", "https://a", "https://10.0.0.3:2379", "https://10.0.0.3:2379"]
prefix = "keypaird"
` + fleetOrder + fleetNodes, `
2: fleet.engine: "http://10.0.0.1:2379" is not encrypted, and not on this machine
-> let it listen with TLS, and write https://10.0.0.1:2379
2: fleet.engine: a URL has a user name or a password in it
-> set user and password_file, or tls
2: fleet.engine: "https://a" has no port
-> write the port, of etcd 2379: "https://a:2379"
2: fleet.engine: "https://10.0.0.3:2379" stands twice
-> name it once
3: fleet.prefix: "keypaird" does not begin and end with one slash
-> write it between slashes: "/keypaird/"
`},
	{"order, waves, bake, node", fleetTop + `order = ["mx3", "mx1", "mx1"]
waves = ["25%", "10%", "100%"]
bake = "-1s"
node = "mx9"
` + fleetNodes, `
3: fleet.order: "mx3" is not in [fleet.nodes]
-> did you mean "mx1"? (or add its line to [fleet.nodes])
3: fleet.order: "mx1" stands twice
-> name it once
4: fleet.waves: "10%" is not larger than "25%" before it
-> write numbers of nodes, then percentages, each larger than the one before, and "100%" last: ["1", "25%", "100%"]
5: fleet.bake: "-1s" is not a positive duration
-> write more than that, or leave the key out for its default
6: fleet.node: "mx9" is not in [fleet.nodes]
-> did you mean "mx1"? (or add its line to [fleet.nodes])
`},
	{"percent sign forgotten", fleetTop + "waves = [1, \"25\", \"100\"]\n" + fleetOrder + fleetNodes, `
3: fleet.waves: item 1 is a number, not a string
-> put each item in quotes: ["...", "..."]
`},
	{"no percent sign at the end", fleetTop + "waves = [\"1\", \"25\", \"100\"]\n" + fleetOrder + fleetNodes, `
3: fleet.waves: the last wave is not "100%", so that some nodes would never deploy
-> write numbers of nodes, then percentages, each larger than the one before, and "100%" last: ["1", "25%", "100%"]
`},
	{"lines of nodes", fleetTop + fleetOrder + fleetNodes + `web2.example.org = "` + line3 + `"
MX3 = "` + line3 + `"
mx4 = "` + line1 + `"
mx5 = "` + line4[:90] + `"
mx6 = "AGE-SECRET-KEY-1hunter2"
mx7 = []
mx8 = 5
mx9 = ["` + line4 + `", "` + line4 + `"]`, `
8: fleet.nodes.web2: is a table, not the line of a node
-> put a name with dots in quotes: "web2.example.org" = "..."
9: fleet.nodes.MX3: the name "MX3" has other characters than a-z 0-9 . _ -
-> write the name of the host in lower case, of a-z 0-9 . _ -
10: fleet.nodes.mx4: has the key of "mx1"
-> write the line that keypaird fleet key prints on this node; where the state directory was copied from another node, first remove fleet/node.key there
11: fleet.nodes.mx5: has a damaged ed25519: part
-> copy the whole line that keypaird fleet key prints on that node
12: fleet.nodes.mx6: is the private half of a key
-> copy the whole line that keypaird fleet key prints on that node, and rotate this one: others may have seen it
13: fleet.nodes.mx7: has 0 lines
-> write one line, or two while the node's key is exchanged
14: fleet.nodes.mx8: is a number, not a list
-> write a list: ["...", "..."]
15: fleet.nodes.mx9: has the key of "mx9"
-> write the line that keypaird fleet key prints on this node; where the state directory was copied from another node, first remove fleet/node.key there
`},
	{"nodes is no table", fleetTop + fleetOrder + "nodes = [\"mx1\"]", `
5: fleet.nodes: is a list, not a table
-> write [fleet.nodes], and below it a line for each node
`},
	{"secrets", `[fleet]
engine = ["https://10.0.0.1:2379"]
tls = { ca = "$DIR/none.pem", cert = "$DIR/secret", key = "$DIR/open" }
user = "mx 1"
password_file = "hunter2"
password = "hunter2"
` + fleetOrder + fleetNodes, `
3: fleet.tls.ca: $DIR/none.pem: no such file or directory
-> name a PEM file with the certificate of the CA that certified the engine
3: fleet.tls.key: $DIR/open can be used by others (mode 0644)
-> chmod o= $DIR/open
4: fleet.user: "mx 1" is not the name of a user
-> use a-z A-Z 0-9 . _ -
5: fleet.password_file: is not an absolute path
-> put the secret in a file, and write the path of the file from / on
6: fleet.password: unknown key
-> did you mean "password_file"?
`},
	{"halves", `[fleet]
engine = ["http://127.0.0.1:2379"]
tls = { cert = "/etc/keypaird/engine.pem" }
user = "mx1"
` + fleetOrder + fleetNodes, `
1: fleet.password_file: is missing beside user
-> set it, or leave user out
3: fleet.tls: is only for an engine with https
-> write https in engine, or leave tls out
3: fleet.tls.key: is missing beside cert
-> set both, or none and user with password_file instead
`},
	{"no pair", `[fleet]
engine = ["https://10.0.0.1:2379"]
tls = { cert = "$DIR/broken.pem", key = "$DIR/secret" }
` + fleetOrder + fleetNodes, `
3: fleet.tls.cert: $DIR/broken.pem and $DIR/secret are not a pair: tls: failed to find any PEM data in key input
-> name a certificate and its private key in PEM
`},
	{"nodes of a deployment", fleetTop + fleetOrder + fleetNodes + `
[deploy.nginx]
nodes = ["mx1", "mx3"]
[deploy.haproxy]
nodes = []
[cert.a]
http-01 = ["a.example.org"]
deploy = ["nginx", "haproxy"]`, `
10: deploy.nginx.nodes: "mx3" is not in [fleet.nodes]
-> did you mean "mx1"? (or add its line to [fleet.nodes])
12: deploy.haproxy.nodes: names no node
-> name the nodes, or leave nodes out for all
`},
	{"nodes without a fleet", `[deploy.nginx]
nodes = ["mx1"]`, `
2: deploy.nginx.nodes: there is no [fleet]
-> leave nodes out, or add a [fleet] table
`},
	{"one file of two deployments on one node", fleetTop + fleetOrder + fleetNodes + `
[deploy.a]
combined = "/etc/x/{name}.pem"
nodes = ["mx1"]
[deploy.b]
combined = "/etc/x/{name}.pem"
nodes = ["mx2"]
[deploy.c]
combined = "/etc/x/{name}.pem"
nodes = ["mx2"]
[cert.a]
http-01 = ["a.example.org"]
deploy = ["a", "b", "c"]`, `
16: deploy.c.combined: /etc/x/a.pem would be written for [deploy.b] and [deploy.c]
-> give each deployment files of its own
`},
}

// A node that no certificate is for is a mistake, too. The certificate that other tests
// append goes to all.
func TestFleetIdleNode(t *testing.T) {
	dir := configDir(t)
	_, err := loadText(t, dir, fleetTop+fleetOrder+fleetNodes+`
[deploy.nginx]
chain = "/etc/x/{name}.pem"
nodes = ["mx1"]
[cert.a]
http-01 = ["a.example.org"]
deploy = ["nginx"]`)
	const want = "7: fleet.nodes.mx2: no certificate is for this node\n-> name it in nodes of a deployment, or take it out of [fleet.nodes]\n"
	if got := tell(t, dir, err); got != want {
		t.Errorf("mistakes:\n%s\nwant:\n%s", got, want)
	}
}

// The name of this node is that of the host, in full or without its domain.
func TestFleetNode(t *testing.T) {
	for _, tt := range []struct{ host, nodes, want, problem string }{
		{"mx1", "mx1 mx2", "mx1", ""},
		{"mx1.example.org", "mx1 mx2", "mx1", ""},
		{"MX1.Example.org.", "mx1 mx2", "mx1", ""},
		{"mx1.example.org", "mx1.example.org mx2.example.org", "mx1.example.org", ""},
		{"mx1", "mx1.example.org mx2.example.org", "mx1.example.org", ""},
		{"mx1.example.org", "mx1.example.org mx1", "mx1.example.org", ""},
		{"mx1", "mx1.example.org mx1.example.net", "", `this machine is called "mx1", and may be "mx1.example.org" or "mx1.example.net"`},
		{"mx1.example.com", "mx1.example.org mx1.example.net", "", `neither as "mx1.example.com" nor as "mx1"`},
		{"web1.example.org", "mx1 mx2", "", `neither as "web1.example.org" nor as "web1"`},
		{"web1", "mx1 mx2", "", `neither as "web1" nor with a domain behind it`},
		{"", "mx1 mx2", "", `the name of this machine is not known`},
	} {
		names := strings.Fields(tt.nodes)
		text := fmt.Sprintf("%sorder = [%q]\n[fleet.nodes]\n%q = %q\n%q = %q\n%s", fleetTop, names[0], names[0], line1, names[1], line2, okCert)
		o := Options{Getenv: noEnv, Hostname: func() (string, error) {
			if tt.host == "" {
				return "", errors.New("none")
			}
			return tt.host, nil
		}}
		cfg, err := o.Parse("f", text, 0o600)
		if tt.problem != "" {
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%s of %s: %v, want %s", tt.host, tt.nodes, err, tt.problem)
			}
		} else if err != nil || cfg.Fleet.Node != tt.want {
			t.Errorf("%s of %s: %+v, %v, want %s", tt.host, tt.nodes, cfg, err, tt.want)
		}
	}
}

const threeNodes = `[fleet]
engine = ["http://127.0.0.1:2379"]
order = ["web1"]
bake = "0s"
[fleet.nodes]
mx2 = "` + line2 + `"
mx1 = ["` + line1 + `", "` + line4 + `"]
web1 = "` + line3 + `"
[dns.ns]
provider = "rfc2136"
env = { RFC2136_TSIG_FILE = "$DIR/none" }
user = "no-such-user"
[deploy.postfix]
nodes = ["mx1", "mx2"]
[deploy.nginx]
nodes = ["web1"]
owner = "no-such-user"
[cert.mail]
dns-01 = ["mx.example.org"]
dns = "ns"
deploy = ["postfix"]
[cert.www]
http-01 = ["www.example.org"]
deploy = ["nginx", "postfix"]
[cert.all]
http-01 = ["all.example.org"]
[cert.own]
http-01 = ["own.example.org"]
deploy = ["nginx"]
`

// One file is for all nodes: what is only on others is not looked for here.
func TestFleetAudience(t *testing.T) {
	dir := configDir(t)
	load := func(node string) (*Config, error) {
		o := Options{Getenv: noEnv, Hostname: func() (string, error) { return node, nil }}
		return o.Parse(filepath.Join(dir, "keypaird.toml"), strings.ReplaceAll(threeNodes, "$DIR", dir), 0o600)
	}
	cfg, err := load("mx1")
	if err != nil {
		t.Fatalf("%v\n%s", err, tell(t, dir, err))
	}
	got := cfg.Audiences()
	for name, want := range map[string][]string{
		"mail": {"mx2", "mx1", "web1"}, "www": {"mx2", "mx1", "web1"}, "all": {"mx2", "mx1", "web1"}, "own": {"web1"},
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("audience of %s: %v, want %v", name, got[name], want)
		}
	}
	if cfg.OrdersHere() || cfg.DeploysHere("nginx") || !cfg.DeploysHere("postfix") || cfg.Fleet.Bake.Duration != 0 || len(cfg.Fleet.Nodes.Members()["mx1"]) != 2 {
		t.Errorf("%+v", cfg.Fleet)
	}
	var targets []string
	for _, target := range cfg.Targets() {
		targets = append(targets, target.Name+" "+strings.Join(target.Deploy, " "))
	}
	if want := []string{"all ", "mail postfix", "www postfix"}; !slices.Equal(targets, want) {
		t.Errorf("targets %q, want %q", targets, want)
	}
	_, err = load("web1")
	if said := tell(t, dir, err); strings.Count(said, "\n->") != 3 || !strings.Contains(said, "$DIR/none") {
		t.Errorf("on the node that orders:\n%s", said)
	}
}

// A key of a fleet can be made before the rest of the file is right.
func TestOnlyState(t *testing.T) {
	o := Options{Getenv: noEnv, OnlyState: true}
	cfg, err := o.Parse("f", "state = \"/srv/state\"\n[fleet]\n[dns.ns]\nx = 1\n", 0o600)
	if err != nil || cfg.State != "/srv/state" {
		t.Errorf("%+v, %v", cfg, err)
	}
	for _, text := range []string{"state = \"x\"\n", "state = 5", "[fleet", "state = \"/srv/state\"\nemail = a"} {
		if cfg, err := o.Parse("f", text, 0o600); err == nil {
			t.Errorf("%q: %+v", text, cfg)
		}
	}
}

// The client certificate is a pair, and is only read where the engine is asked.
func TestEnginePair(t *testing.T) {
	dir := configDir(t)
	engineFiles(t, dir+"/engine")
	text := "[fleet]\nengine = [\"https://10.0.0.1:2379\"]\ntls = { cert = \"$DIR/engine/node.pem\", key = \"$DIR/engine/node.key\" }\n" + fleetOrder + fleetNodes + okCert
	if _, err := loadText(t, dir, text); err != nil {
		t.Error(err)
	}
	byPassword := "[fleet]\nengine = [\"https://10.0.0.1:2379\"]\npassword_file = \"$DIR/secret\"\n" + fleetOrder + fleetNodes + okCert
	if cfg, err := loadText(t, dir, byPassword); err != nil || cfg.Fleet.User != "mx1" {
		t.Errorf("the user of node mx1: %+v, %v", cfg, err)
	}
	try(t, os.Remove(dir+"/engine/node.key"))
	if _, err := loadText(t, dir, text); err == nil {
		t.Error("loaded without the key")
	}
	o := Options{Getenv: noEnv, NoSecrets: true}
	if _, err := o.Parse("f", strings.ReplaceAll(text, "$DIR", dir), 0o600); err != nil {
		t.Error(err)
	}
}
