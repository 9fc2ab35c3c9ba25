// Package transport carries the requests of an ACME library to one CA and the
// answers back. The library knows no contexts, believes what it is sent and hides
// the headers of answers; this package
//
//   - gives each request the context of its job and a deadline,
//   - sends requests to the CA and the hosts of its directory only, by https (see
//     package answer for the reason),
//   - sends no newOrder or finalize request that the job has not reserved,
//   - bounds answers, and lets package answer read them,
//   - remembers the last answer of each URL, and compares the CA's clock with ours.
//
// Make a [Server] for each CA with [NewServer] and a [Transport] for each job at a
// time with [Server.Transport]. The package retries nothing and knows no order,
// account or signature.
package transport
