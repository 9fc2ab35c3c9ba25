package config

import (
	"crypto/x509"
	"fmt"
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
		pem, err := ReadFile(t.Roots)
		if err != nil {
			return ca, fmt.Errorf("reading roots of [ca.%s]: %s: %w", name, t.Roots, err)
		}
		ca.Roots = x509.NewCertPool()
		if !ca.Roots.AppendCertsFromPEM(pem) {
			return ca, fmt.Errorf("reading roots of [ca.%s]: %s: no certificate in it", name, t.Roots)
		}
	}
	if t.EABHMACFile != "" {
		hmac, err := ReadFile(t.EABHMACFile)
		if err != nil {
			return ca, fmt.Errorf("reading eab_hmac_file of [ca.%s]: %s: %w", name, t.EABHMACFile, err)
		}
		ca.EABHMAC = strings.TrimSpace(string(hmac))
	}
	return ca, nil
}

// Sets reports whether the table gives the command called key itself; else it is
// a preset's.
func (d Deploy) Sets(key string) bool {
	return key == "check" && d.Check != nil || key == "reload" && d.Reload != nil
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
	override(&d.Chain, t.Chain)
	override(&d.Key, t.Key)
	override(&d.Combined, t.Combined)
	override(&d.Owner, t.Owner)
	override(&d.Group, t.Group)
	override(&d.Socket, t.Socket)
	override(&d.Check, t.Check)
	override(&d.Reload, t.Reload)
	if t.Reload != nil {
		d.Reloads, d.Restart = 0, nil // they are about the preset's
	}
	if t.ChainMode != nil {
		d.ChainMode = fileMode(*t.ChainMode)
	}
	if t.KeyMode != nil {
		d.KeyMode = fileMode(*t.KeyMode)
	}
	for _, s := range t.Verify {
		if e, err := probe.ParseEndpoint(s); err == nil { // checked when it was loaded
			d.Verify = append(d.Verify, e)
		}
	}
	if t.Timeout.Duration > 0 {
		d.Timeout = t.Timeout.Duration
	}
	return d
}

// override sets dst to what a table says, if it says anything.
func override[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}
