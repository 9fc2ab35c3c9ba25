package child

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"keypaird/renew/textfmt"
)

// A Description is lego's documentation of one of its providers.
type Description struct {
	Code        string     `json:"code"`
	Aliases     []string   `json:"aliases,omitempty"`
	Name        string     `json:"name"`
	URL         string     `json:"url,omitempty"`
	Since       string     `json:"since"` // first version of lego
	Example     []Variable `json:"example,omitempty"`
	Credentials []Variable `json:"credentials,omitempty"` // what the account needs, sometimes one of several ways
	Optional    []Variable `json:"optional,omitempty"`
	BuiltIn     bool       `json:"built_in"` // into this program
	Note        string     `json:"note,omitempty"`
	Rights      string     `json:"rights,omitempty"` // that are enough
	Lines       []string   `json:"lines,omitempty"`  // for the DNS server's own configuration
}

// A Variable is an environment variable, and its description or example value.
type Variable struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

const columns = 80

//go:embed providers.json
var providersJSON []byte

// notes says what differs from lego.
var notes = map[string]string{
	"manual":     "keypaird cannot use it: it waits for a person at a terminal. Use dns-persist-01.",
	"exec":       "the program is given the account's variables and is killed at the end of the time-out only. It is not confined.",
	"azuredns":   "AZURE_AUTH_METHOD=cli runs the program az. keypaird-dns is not confined then.",
	"gcloud":     "credentials that a program fetches need KEYPAIRD_DNS_UNCONFINED=true.",
	"route53":    "a credential_process in ~/.aws/config needs KEYPAIRD_DNS_UNCONFINED=true.",
	"rfc2136":    "each variable may be spelled DNSUPDATE_ instead of RFC2136_. Values of others at the same name are left alone. The TTL is 10 seconds unless RFC2136_TTL is set.",
	"infoblox":   "the TTL is 10 seconds unless INFOBLOX_TTL is set.",
	"pdns":       "the TTL is 10 seconds unless PDNS_TTL is set.",
	"technitium": "the TTL is 10 seconds unless TECHNITIUM_TTL is set.",
	"acme-dns":   "the file of ACME_DNS_STORAGE_PATH must be writable by the user keypaird-dns runs as.",
}

func descriptions() ([]Description, error) {
	var all []Description
	if err := json.Unmarshal(providersJSON, &all); err != nil {
		return nil, fmt.Errorf("reading the descriptions of providers: %w", err)
	}
	for i := range all {
		all[i].Note = notes[all[i].Code]
		all[i].recommend()
		if all[i].Code == "rfc2136" { // lego documents the other prefix that it knows
			all[i].Credentials, all[i].Optional = renamed(all[i].Credentials), renamed(all[i].Optional)
		}
	}
	return all, nil
}

// recommend replaces lego's example by what should be used.
func (d *Description) recommend() {
	own, ok := recommendations[d.Code]
	if !ok {
		for i, v := range d.Example {
			if secret.MatchString(v.Name) {
				d.Example[i] = Variable{v.Name + "_FILE", "/etc/keypaird/" + strings.ToLower(v.Name)}
			}
		}
		return
	}
	d.Example, d.Rights, d.Lines = nil, own.rights, slices.Collect(strings.Lines(own.lines))
	for _, v := range own.env {
		d.Example = append(d.Example, Variable{v[0], v[1]})
	}
}

func renamed(list []Variable) []Variable {
	for i, v := range list {
		list[i] = Variable{strings.Replace(v.Name, "DNSUPDATE_", "RFC2136_", 1), strings.ReplaceAll(v.Text, "DNSUPDATE_", "RFC2136_")}
	}
	return list
}

// link matches a link in lego's documentation.
var link = regexp.MustCompile(`\[([^]]*)\]\(([^)]*)\)`)

func (p Program) has(code string) bool {
	if p.Codes == nil {
		_, err := find(code)
		return err == nil
	}
	return slices.Contains(p.Codes, code)
}

func (p Program) list(w io.Writer, asJSON bool) error {
	all, err := descriptions()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(d Description) bool {
		return p.Codes != nil && !slices.Contains(p.Codes, d.Code)
	})
	if asJSON {
		for i := range all {
			all[i].BuiltIn = true
		}
		return printJSON(w, all)
	}
	for _, d := range all {
		if _, err := fmt.Fprintln(w, d.Code); err != nil {
			return err
		}
	}
	return nil
}

func (p Program) describe(w io.Writer, code string, asJSON bool) error {
	d, err := find(code)
	if err != nil {
		return err
	}
	d.BuiltIn = p.has(d.Code)
	if asJSON {
		return printJSON(w, d)
	}
	_, err = io.WriteString(w, d.text())
	return err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (d Description) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n", d.Name, strings.Join(append([]string{d.Code}, d.Aliases...), ", "))
	if d.URL != "" {
		fmt.Fprintln(&b, d.URL)
	}
	if !d.BuiltIn {
		fmt.Fprintln(&b, "\nNot in this keypaird-dns: it was built with -tags lean.")
	}
	if d.Note != "" {
		b.WriteString("\n" + textfmt.Wrap("Note: ", d.Note, columns, 0))
	}
	d.example(&b)
	d.variables(&b, "Credentials (some providers take one of several ways):", d.Credentials)
	d.variables(&b, "Optional:", d.Optional)
	if len(d.Credentials) > 0 {
		b.WriteString("\nNAME_FILE instead of NAME gives the path of a file that holds the value,\nunless the variable says otherwise.\n")
	}
	return b.String()
}

// example writes a [dns] table, and what the credential in it must be allowed to do.
func (d Description) example(b *strings.Builder) {
	fmt.Fprintf(b, "\nExample:\n\n[dns.%s]\nprovider = %q\n", strings.ReplaceAll(d.Code, ".", "-"), d.Code)
	if len(d.Example) > 0 {
		b.WriteString("[dns." + strings.ReplaceAll(d.Code, ".", "-") + ".env]\n")
	}
	for _, v := range d.Example {
		fmt.Fprintf(b, "%s = %q\n", v.Name, v.Text)
	}
	if d.Rights != "" {
		b.WriteString("\n" + textfmt.Wrap("It needs no more than ", d.Rights, columns, 0))
		for _, line := range d.Lines {
			fmt.Fprintf(b, "  %s\n", line)
		}
	}
}

// variables leaves out what keypaird does by itself.
func (d Description) variables(b *strings.Builder, title string, list []Variable) {
	width := 0
	list = slices.DeleteFunc(slices.Clone(list), func(v Variable) bool {
		return strings.HasSuffix(v.Name, "_PROPAGATION_TIMEOUT") ||
			strings.HasSuffix(v.Name, "_POLLING_INTERVAL") ||
			strings.HasSuffix(v.Name, "_SEQUENCE_INTERVAL")
	})
	for _, v := range list {
		width = max(width, len(v.Name))
	}
	if len(list) > 0 {
		fmt.Fprintf(b, "\n%s\n", title)
	}
	for _, v := range list {
		b.WriteString(textfmt.Wrap(fmt.Sprintf("  %-*s  ", width, v.Name), link.ReplaceAllString(v.Text, "$2"), columns, 4))
	}
}
