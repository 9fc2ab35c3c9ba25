// Package responder has the parts that packages http01 and tlsalpn01 share: the directory
// that several processes put responses into, and the port that one of them holds for all.
//
// The package knows no challenge type, and never opens a port before a challenge or
// [Port.Start] needs it.
package responder
