// Package child is the program keypaird-dns: it serves one account at a DNS provider over
// standard input and output, and removes what it has published when its input ends.
//
// Each request is one line of JSON, and so is each answer, in order:
//
//	{"op":"open","provider":"rfc2136","resolvers":["192.0.2.53:53"]}
//	{"confinement":"Landlock, version 7"}
//	{"op":"locate","domain":"example.org","token":"t","key_auth":"t.k"}
//	{"fqdn":"_acme-challenge.example.org.","value":"...","keeps_several":true}
//	{"op":"present","domain":"example.org","token":"t","key_auth":"t.k"}
//	{"fqdn":"_acme-challenge.example.org.","value":"...","keeps_several":true}
//	{"op":"cleanup","domain":"example.org","token":"t","key_auth":"t.k"}
//	{"fqdn":"_acme-challenge.example.org.","value":"...","keeps_several":true}
//
// or, for any of them, {"error":"...","remedy":"..."}. The first request must
// be open. At the end of input, and at SIGINT, SIGTERM and SIGHUP, the program
// sends {"ending":true}, finishes a running request, removes the records that still
// exist, and exits: with status 0 if none is left. That takes two minutes at most,
// even if the provider hangs.
//
// On Linux keypaird confines the process before this program begins: see package launch.
// On other systems, and when a person runs it, the program does so before it reads the
// first request: it cannot dump core, change files, run programs or read files, except
// those of name resolution and TLS, those that the variables name, and those that the
// provider given by -for is known to need.
//
// The package knows no ACME, and replaces one provider, by package rfc2136: lego's
// removes the records of other hosts at the same name.
package child
