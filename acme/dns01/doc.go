// Package dns01 solves dns-01 challenges with keypaird-dns, a child process that
// holds the credentials of one account at a DNS provider, and dns-persist-01
// challenges by checking for the record that an operator has published.
//
// Fill in the fields of an [Account] to use it. Each Solve
//
//	locates the challenge name -> waits for its turn at that name -> presents
//	-> waits for propagation and for caches of the CA -> has the CA validate
//	-> cleans up
//
// The first Solve starts the child, concurrent ones share it, and the last one closes its
// input: the child then removes remaining records and exits, as it does when this process
// is killed. Close waits for that. If a machine of a fleet dies, another one removes the
// records that it left, which it finds in notes: see [Account.Note].
//
// A [Checker] queries DNS servers for TXT, CAA, TLSA and address records. It can
// be used without an Account.
//
// The package knows no providers: their code and their quirks are in the child.
package dns01
