// Package responder has what responders of challenges share: the files of a directory
// that several processes put responses into, and the port that one of them holds for
// all.
//
// The package knows no challenge type, and never opens a port before a challenge or
// [Port.Start] needs it.
package responder
