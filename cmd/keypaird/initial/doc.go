// Package initial writes a first configuration, for the command init:
//
//	Flags -> Run: propose -> ask -> write -> say what is left to do
//
// Each [question] has a proposal, from DNS (asked by keypaird-names), from the servers of
// this machine and from their own configuration. At a terminal it is asked; otherwise
// flags answer it. Answers are held to the rules of package config, and the file is
// written only when config finds no mistake in it.
//
// The package changes nothing but that file, its directory, and nothing that exists.
package initial
