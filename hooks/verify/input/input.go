// Package input is what package verify is asked: targets with the endpoints of their
// deployments, the domains of peers, and which certificates are stored. It holds no
// key, and all of it can be sent as JSON to the program that probes.
package input

import "keypaird/hooks/probe"

// A Target is a certificate and the servers it is deployed to.
type Target struct {
	Name        string // of the target in the store
	Names       []string
	Leaf        []byte // of the live pair, in DER; empty: none is live
	Fault       string // why none is live
	Deployments []Deployment
}

// A Deployment is a server with the endpoints at which it serves its targets.
type Deployment struct {
	Name      string
	Endpoints []Endpoint
}

// An Endpoint is an endpoint that must serve a target, and for which of its names.
type Endpoint struct {
	probe.Endpoint
	Names []string
	Seen  string // what it served of the target when it was probed last, as of package seen; empty: not known
}

// A Domain is a domain. Its endpoints are found as its peers find them.
type Domain struct {
	Name       string
	Services   []string // none: all
	Components []string // further XMPP domains
	Names      []string // only endpoints that need one of these names; nil: all
	Configured bool     // the services are known to exist
	Optional   bool     // it is left out if peers find no endpoint of it
}

// Stored lists what is stored of all targets.
type Stored struct {
	Targets       []Pairs
	Intermediates [][]byte // in DER, each once
}

// Pairs are the stored pairs of a target.
type Pairs struct {
	Name     string
	Names    []string
	Live     string    // the version; empty: none
	Versions []Version // newest first
}

// A Version is one stored pair.
type Version struct {
	ID          string
	Fingerprint string // of its certificate, SHA-256
	Chain       []int  // indexes of its Intermediates
}
