package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	files "keypaird/cmd/keypaird/config/file"

	"keypaird/acme/dns01/redact"
)

// A secret stands in the configuration only if nobody else can read it.
func TestSecretsInTheConfiguration(t *testing.T) {
	for _, tt := range []struct {
		name     string
		variable string
		mode     os.FileMode
		refused  bool
	}{
		{"read by everybody", `CF_DNS_API_TOKEN = "hunter2"`, 0o644, true},
		{"read by a group", `CF_DNS_API_TOKEN = "hunter2"`, 0o640, true},
		{"read by us only", `CF_DNS_API_TOKEN = "hunter2"`, 0o600, false},
		{"read-only", `CF_DNS_API_TOKEN = "hunter2"`, 0o400, false},
		{"no secret", `CF_API_EMAIL = "ann@example.org"`, 0o644, false},
		{"empty", `CF_DNS_API_TOKEN = ""`, 0o644, false},
		{"name of a TSIG key", `RFC2136_TSIG_KEY = "acme."`, 0o644, false},
		{"secret of a TSIG key", `RFC2136_TSIG_SECRET = "hunter2"`, 0o644, true},
		{"identifier of a key", `AWS_ACCESS_KEY_ID = "AKIA"`, 0o644, false},
		{"password in a URL", `PDNS_API_URL = "http://ann:hunter2@127.0.0.1:8081"`, 0o644, true},
		{"URL", `PDNS_API_URL = "http://127.0.0.1:8081/a:b@c"`, 0o644, false},
		{"private key", `X_ACCOUNT = "-----BEGIN PRIVATE KEY-----\nhunter2"`, 0o644, true},
		{"account of Google as JSON", `GCE_SERVICE_ACCOUNT = "{\"hunter2\":1}"`, 0o644, true},
		{"time to live of a provider called after keys", `KEYHELP_TTL = "120"`, 0o644, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "keypaird.toml")
			writeFile(t, file, "[dns.ns]\nprovider = \"exec\"\n[dns.ns.env]\n"+tt.variable+okCert, tt.mode)
			_, err := Load(Options{Path: file, Getenv: noEnv})
			key, _, _ := strings.Cut(tt.variable, " ")
			want := ""
			if tt.refused {
				want = "4: dns.ns.env." + key + ": holds a secret, and others can read the configuration\n" +
					"-> chmod go= $DIR/keypaird.toml, or put the value in a file and write " + key + "_FILE\n"
			}
			if got := tell(t, dir, err); got != want {
				t.Errorf("mistakes:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// Files that hold secrets are there, and closed to others.
func TestSecretFiles(t *testing.T) {
	const rest = "put the secret there, readable only for the user who runs keypaird"
	for _, tt := range []struct {
		name         string
		make         func(t *testing.T, file string)
		want, remedy string
	}{
		{"ours alone", func(t *testing.T, file string) { writeFile(t, file, "hunter2", 0o600) }, "", ""},
		{"for a group", func(t *testing.T, file string) { writeFile(t, file, "hunter2", 0o640) }, "", ""},
		{"read by everybody", func(t *testing.T, file string) { writeFile(t, file, "hunter2", 0o604) },
			"FILE can be used by others (mode 0604)", "chmod o= FILE"},
		{"written by everybody", func(t *testing.T, file string) { writeFile(t, file, "hunter2", 0o602) },
			"FILE can be used by others (mode 0602)", "chmod o= FILE"},
		{"missing", func(*testing.T, string) {}, "FILE: no such file or directory", rest},
		{"directory", func(t *testing.T, file string) { try(t, os.Mkdir(file, 0o700)) }, "FILE: is not a regular file", rest},
		{"huge", func(t *testing.T, file string) {
			writeFile(t, file, "", 0o600)
			try(t, os.Truncate(file, files.MaxSmall+1))
		}, "FILE: is larger than 1024 KiB", rest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := dir + "/secret"
			tt.make(t, file)
			_, err := loadText(t, dir, "[dns.ns]\nprovider = \"exec\"\nenv.X_FILE = \""+file+"\"\n"+okCert)
			want := ""
			if tt.want != "" {
				want = "3: dns.ns.env.X_FILE: " + tt.want + "\n-> " + tt.remedy + "\n"
			}
			if got := strings.ReplaceAll(tell(t, dir, err), "$DIR/secret", "FILE"); got != want {
				t.Errorf("mistakes:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// Whoever has set roots for the provider's own TLS has named no secret.
func TestRootsOfProviders(t *testing.T) {
	dir := configDir(t)
	if _, err := loadText(t, dir, "[dns.ns]\nprovider = \"exec\"\nenv.SSL_CERT_FILE = \"$DIR/open\"\n"+okCert); err != nil {
		t.Error(err)
	}
}

// These variables of lego's providers are taken for no secrets although the
// account needs them: names of people and things, and paths. Whoever adds a
// provider has to look at its variables here.
var noSecrets = regexp.MustCompile(`_(ID|OCID|USER|USERNAME|USER_NAME|NAME|NICKNAME|EMAIL|LOGIN|URL|BASE|ENDPOINT|HOST|HOSTNAME|ADDRESS|` +
	`NAMESERVER|REGION|PATH|FILE|GROUP|ENVIRONMENT|ROLE|ROLE_ARN|MODE|PROJECT|PROFILE|ZONE|SECTION|EDGERC|VIEW|CODE|NUMBER|MAPPING|` +
	`FINGERPRINT|CONFIG|CHANGED|REFERENCE)$`)

func TestEveryProvidersSecretsAreSecret(t *testing.T) {
	data, err := os.ReadFile("../../keypaird-dns/child/providers.json")
	try(t, err)
	var providers []struct {
		Code        string
		Credentials []struct{ Name string }
	}
	try(t, json.Unmarshal(data, &providers))
	if len(providers) < 190 {
		t.Fatalf("%d providers", len(providers))
	}
	var missed []string
	for _, p := range providers {
		for _, v := range p.Credentials {
			switch {
			case strings.Contains(v.Name, " "): // no variable but a remark
			case !variablePattern().MatchString(v.Name):
				t.Errorf("%s: %q cannot be configured", p.Code, v.Name)
			case !redact.IsSecret(v.Name, "x") && !noSecrets.MatchString(v.Name):
				missed = append(missed, p.Code+" "+v.Name)
			}
		}
	}
	slices.Sort(missed)
	if len(missed) > 0 {
		t.Errorf("taken for no secrets:\n%s", strings.Join(missed, "\n"))
	}
}
