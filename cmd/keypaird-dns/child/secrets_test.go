package child

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-acme/lego/v4/challenge"
	legolog "github.com/go-acme/lego/v4/log"
)

type talkative []string

func (p talkative) Present(string, string, string) error {
	for _, text := range p {
		legolog.Println(text)
	}
	return errors.New(strings.Join(p, "\n"))
}

func (p talkative) CleanUp(string, string, string) error { return nil }

// Credentials in a provider's errors are redacted here, also those in files, which the
// parent does not know.
func TestSecretsAreRedacted(t *testing.T) {
	const inFile, inEnv, short = "file/s3cret+&", "p\"w d/env!", "abc"
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(inFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"LEGO_DISABLE_CNAME_SUPPORT": "true", "X_API_TOKEN_FILE": path, "X_PASSWORD": inEnv, "X_SECRET": short,
		"X_KEY_FILE": filepath.Dir(path), "X_TSIG_KEY": "host.example", "X_ZONE": "zone.example",
	} {
		t.Setenv(name, value)
	}
	texts := talkative{"abc of host.example in zone.example in " + path, `Get "https://api.example/x?user=me&sig=\"q\"": no`}
	for _, secret := range []string{inFile, inEnv} {
		b := []byte(secret)
		texts = append(texts, "raw "+secret, "query "+url.QueryEscape(secret), "path "+url.PathEscape(secret),
			"base64 "+base64.StdEncoding.EncodeToString(b), "base64 "+base64.RawURLEncoding.EncodeToString(b))
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	defer outR.Close() // else the announcement of the exit waits for a reader forever
	var errs strings.Builder
	ended := make(chan error, 1)
	p := Program{Open: func(string) (challenge.Provider, error) { return texts, nil }}
	go func() { ended <- p.run(t.Context(), nil, inR, outW, &errs, notConfined) }()
	answers := bufio.NewReader(outR)
	answered := ""
	for _, line := range []string{open, op("present", "a.example")} {
		if _, err := io.WriteString(inW, line+"\n"); err != nil {
			t.Fatal(err)
		}
		var err error
		if answered, err = answers.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	inW.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, text := range []string{answered, errs.String()} {
		for _, want := range []string{"abc of host.example in zone.example in " + path, "https://api.example/x?…", "raw [X_API_TOKEN]", "raw [X_PASSWORD]", "base64 [X_API_TOKEN]"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in %s", want, text)
			}
		}
		for _, line := range texts[2:] {
			if _, secret, _ := strings.Cut(line, " "); strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
		if strings.Contains(text, "user=me") || strings.Contains(text, "sig=") {
			t.Errorf("a query is in %s", text)
		}
	}
}
