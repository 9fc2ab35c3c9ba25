// Package tomltext reads and writes pieces of TOML: what the messages of the TOML library
// mean in the words of an operator, strings in quotes, and text that may be shown.
package tomltext
