// Package initial writes a first configuration, for the command init:
//
//	Flags -> Run: propose -> ask -> write -> say what is left to do
//
// Each [question] has a proposal, from DNS (asked by keypaird-names), from the servers of
// this machine and from their own configuration. At a terminal it is asked; otherwise
// flags answer it. Answers are held to the rules of package config, and the file is
// written only when config finds no mistake in it.
//
// It writes that file and, if they are missing, the files beside it that it names; for the
// service's own configuration also a copy of the key for BIND, drop-ins of
// keypaird.service, and stand-ins in the state directory. It replaces nothing, and what
// other programs read has no effect until the operator adds a line.
package initial
