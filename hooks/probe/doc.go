// Package probe dials an endpoint and checks the certificate chain it serves.
//
// An [Endpoint] is an address and the protocol spoken there before TLS.
// [Probe.Run] connects to it, with or without SNI, and returns the chain served;
// [Dial] does so with default settings. [Check] lists what is wrong with a chain for
// peers that do not know the certificate in advance. It is a function of the [Result]
// and of an [Expect] and sends nothing.
//
// The package does not know the peers or their requirements.
package probe
