// Package verify dials the endpoints of deployments and of a domain's peers, and
// reports which certificate each serves and which peers a wrong one affects.
//
// A [Verifier] takes targets, which must be served as the live pair at the endpoints
// of their deployments, and domains, for which package discover finds endpoints.
// [Verifier.Verify] returns one [Check] for each address and name; [WriteText] and
// [WriteTAP] print them, and [Err] returns the one error for all of them, or nil. A
// failure to reach an endpoint from this machine is reported as undetermined or as a
// warning: others may reach it.
//
// The package knows nothing of the configuration. It changes nothing.
package verify
