package main

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"keypaird/acme"
	"keypaird/hooks"
	"keypaird/hooks/probe"
)

// Authority returns the CA called name: built in, or of a [ca] table, or built
// in with a table that completes it.
func (c *Config) Authority(name string) (acme.CA, error) {
	ca, _ := acme.BuiltIn(name)
	t := c.CA[name]
	ca.Name, ca.EABKeyID = name, t.EABKid
	if t.Directory != "" {
		ca.Directory = t.Directory
	}
	if t.Roots != "" {
		pem, err := os.ReadFile(t.Roots)
		if err != nil {
			return ca, fmt.Errorf("reading roots of [ca.%s]: %w", name, err)
		}
		ca.Roots = x509.NewCertPool()
		if !ca.Roots.AppendCertsFromPEM(pem) {
			return ca, fmt.Errorf("reading roots of [ca.%s]: no certificate in %s", name, t.Roots)
		}
	}
	if t.EABHmacFile != "" {
		hmac, err := os.ReadFile(t.EABHmacFile)
		if err != nil {
			return ca, fmt.Errorf("reading eab_hmac_file of [ca.%s]: %w", name, err)
		}
		ca.EABHMAC = strings.TrimSpace(string(hmac))
	}
	return ca, nil
}

// Deployment returns the deployment called name: a preset, a table, or a preset
// of which a table overrides some fields.
func (c *Config) Deployment(name string) hooks.Deployment {
	t := c.Deploy[name]
	preset := t.Preset
	if preset == "" {
		preset = name
	}
	d, _ := hooks.Preset(preset)
	d.Name = name
	set := func(dst *string, v string) {
		if v != "" {
			*dst = v
		}
	}
	set(&d.Chain, t.Chain)
	set(&d.Key, t.Key)
	set(&d.Combined, t.Combined)
	set(&d.Owner, t.Owner)
	set(&d.Group, t.Group)
	set(&d.Socket, t.Socket)
	if t.Check != nil {
		d.Check = t.Check
	}
	if t.Reload != nil {
		d.Reload = t.Reload
	}
	for _, v := range t.Verify {
		if e, err := probe.ParseEndpoint(v); err == nil {
			d.Verify = append(d.Verify, e)
		}
	}
	_ = strconv.Itoa
	_ = fs.ModePerm
	return d
}
