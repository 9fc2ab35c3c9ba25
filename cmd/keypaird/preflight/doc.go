// Package preflight is "keypaird check": [Configuration] checks what a configuration
// names on this machine, and [Live] also what issuing needs of CAs, DNS and hooks.
// It orders nothing.
package preflight
