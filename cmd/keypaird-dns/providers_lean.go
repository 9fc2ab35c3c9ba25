//go:build lean

package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/providers/dns/acmedns"
	"github.com/go-acme/lego/v4/providers/dns/cloudflare"
	"github.com/go-acme/lego/v4/providers/dns/desec"
	"github.com/go-acme/lego/v4/providers/dns/digitalocean"
	"github.com/go-acme/lego/v4/providers/dns/gandiv5"
	"github.com/go-acme/lego/v4/providers/dns/hetzner"
	"github.com/go-acme/lego/v4/providers/dns/httpreq"
	"github.com/go-acme/lego/v4/providers/dns/namecheap"
	"github.com/go-acme/lego/v4/providers/dns/ovh"
	"github.com/go-acme/lego/v4/providers/dns/pdns"
	"github.com/go-acme/lego/v4/providers/dns/porkbun"
)

// providers are common ones that need few packages; rfc2136 is package child's
// own. exec is left out: it has no time-out and hands its environment on.
var providers = map[string]func() (challenge.Provider, error){
	"acme-dns":     maker(acmedns.NewDNSProvider),
	"cloudflare":   maker(cloudflare.NewDNSProvider),
	"desec":        maker(desec.NewDNSProvider),
	"digitalocean": maker(digitalocean.NewDNSProvider),
	"gandiv5":      maker(gandiv5.NewDNSProvider),
	"hetzner":      maker(hetzner.NewDNSProvider),
	"httpreq":      maker(httpreq.NewDNSProvider),
	"namecheap":    maker(namecheap.NewDNSProvider),
	"ovh":          maker(ovh.NewDNSProvider),
	"pdns":         maker(pdns.NewDNSProvider),
	"porkbun":      maker(porkbun.NewDNSProvider),
}

func maker[P challenge.Provider](make func() (P, error)) func() (challenge.Provider, error) {
	return func() (challenge.Provider, error) {
		p, err := make()
		if err != nil {
			return nil, err
		}
		return p, nil
	}
}

// open makes one of the few from the process environment.
func open(code string) (challenge.Provider, error) {
	make, ok := providers[code]
	if !ok {
		return nil, fmt.Errorf("this keypaird-dns was built with -tags lean, without %q", code)
	}
	return make()
}

// codes of the providers that are built in.
func codes() []string {
	return append(slices.Collect(maps.Keys(providers)), "rfc2136")
}
