// Gen writes what lego documents about its DNS providers (one TOML file beside
// each provider's source) as JSON, one provider a line, sorted, and a list of their
// codes and aliases for keypaird, which links none of them.
//
//	go run ./gen -o child/providers.json -codes ../keypaird/config/providers.txt
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

// A description is one file of lego's. Its JSON form is child.Description.
type description struct {
	Code          string        `json:"code"`
	Aliases       []string      `json:"aliases,omitempty"`
	Name          string        `json:"name"`
	URL           string        `json:"url,omitempty"`
	Since         string        `json:"since"`
	Example       []variable    `json:"example,omitempty" toml:"-"`
	Credentials   []variable    `json:"credentials,omitempty" toml:"-"`
	Optional      []variable    `json:"optional,omitempty" toml:"-"`
	Shell         string        `json:"-" toml:"Example"`
	Configuration configuration `json:"-"`
}

type configuration struct {
	Credentials, Additional map[string]string
}

type variable struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func main() {
	out := flag.String("o", "", "file to write; empty: standard output")
	codes := flag.String("codes", "", "file to write the codes to; empty: none")
	flag.Parse()
	if err := run(*out, *codes); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(out, codes string) error {
	all, err := generate()
	if err != nil {
		return err
	}
	if codes != "" {
		if err := os.WriteFile(codes, listCodes(all), 0o644); err != nil {
			return err
		}
	}
	data, err := encode(all)
	if err != nil {
		return err
	}
	if out == "" {
		_, err := os.Stdout.Write(data)
		return err
	}
	return os.WriteFile(out, data, 0o644)
}

func listCodes(all []description) []byte {
	var list []string
	for _, d := range all {
		list = append(append(list, d.Code), d.Aliases...)
	}
	sort.Strings(list)
	return []byte(strings.Join(list, "\n") + "\n")
}

func generate() ([]description, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-acme/lego/v4").Output()
	if err != nil {
		return nil, fmt.Errorf("finding lego's source: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "providers/dns/*/*.toml"))
	if err != nil {
		return nil, err
	}
	var all []description
	for _, file := range files {
		d, err := read(file)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
	return all, nil
}

func read(file string) (description, error) {
	var d description
	if _, err := toml.DecodeFile(file, &d); err != nil {
		return d, fmt.Errorf("%s: %w", file, err)
	}
	if strings.HasPrefix(d.URL, "/") {
		d.URL = "https://go-acme.github.io" + d.URL
	}
	d.Credentials = variables(d.Configuration.Credentials)
	d.Optional = variables(d.Configuration.Additional)
	d.Example = example(d.Shell)
	return d, nil
}

func variables(texts map[string]string) []variable {
	var list []variable
	for name, text := range texts {
		list = append(list, variable{name, strings.Join(strings.Fields(text), " ")})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// example takes the variables of the first command line in a shell example:
// NAME=VALUE \, one a line, until the line that runs lego.
func example(shell string) []variable {
	assignment := regexp.MustCompile(`^([A-Z][A-Z0-9_]*)=(.*?)\s*\\?$`)
	var list []variable
	for line := range strings.Lines(shell) {
		m := assignment.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case m != nil && len(list) < 12:
			list = append(list, variable{m[1], strings.Trim(m[2], `"'`)})
		case len(list) > 0:
			return list
		}
	}
	return list
}

func encode(all []description) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, d := range all {
		var line bytes.Buffer
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(d); err != nil {
			return nil, err
		}
		b.Write(bytes.TrimSpace(line.Bytes()))
		if i < len(all)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	return b.Bytes(), nil
}
