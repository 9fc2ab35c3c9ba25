// Keypaird-fleet is the program by which keypaird reaches the engine of a fleet. It sees
// no private key but that of its own client certificate: values are sealed before they
// get here.
//
// It reads requests on standard input and answers on standard output, as package wire
// describes. Nobody but keypaird starts it.
package main

import (
	"os"

	"keypaird/cmd/keypaird-fleet/child"
)

func main() { os.Exit(child.Main(os.Args[1:])) }
