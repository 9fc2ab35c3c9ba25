// Package cli is the command line of keypaird: what every command parses and prints, and
// how it ends.
package cli
