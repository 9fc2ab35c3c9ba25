// Keypaird-names is the program in which keypaird discovers and verifies: it talks
// to servers that others name, and holds no key, no configuration and no state.
//
// It reads one request on standard input and answers on standard output, as package
// message describes. Nobody but keypaird starts it.
package main

import (
	"os"

	"keypaird/cmd/keypaird-names/child"
)

func main() { os.Exit(child.Main(os.Args[1:])) }
