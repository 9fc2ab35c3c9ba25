// Package http01 answers http-01 challenges (RFC 8555, section 8.3) from a
// directory of tokens. A file there is named by its token and holds the key
// authorization. Any process may add one; the process that holds the port serves
// them all, so a one-shot command and a daemon can share port 80.
//
// A [Solver] is an acme.Solver. A [Responder] is the HTTP handler alone.
//
// The package never asks a CA anything, never serves a file that is not a token, and
// never opens a port before a challenge or [Solver.Start] needs it.
package http01
