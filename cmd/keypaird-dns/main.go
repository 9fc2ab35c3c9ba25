// Keypaird-dns is the program that keypaird starts for each DNS account: it
// holds lego's DNS providers and the account's credentials, and no private key.
//
// It reads requests on standard input and answers on standard output, as
// package child describes. A person may ask it what it knows:
//
//	keypaird-dns -list [-json]
//	keypaird-dns -describe PROVIDER [-json]
//
// Built with -tags lean it has a dozen providers, else all of lego's.
package main

import (
	"os"

	"keypaird/cmd/keypaird-dns/child"
)

//go:generate go run ./gen -o child/providers.json -codes ../keypaird/config/providers.txt

func main() {
	p := child.Program{Open: open, Codes: codes()}
	os.Exit(p.Main(os.Args[1:]))
}
