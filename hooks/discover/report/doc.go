// Package report lists, from what package discover found, the names that
// certificates need, the endpoints that must serve each, and how it can be
// validated.
//
// [New] makes the [Document] of an answer. [Document.WriteText] prints it, and
// [Document.Err] is the error that it amounts to.
package report
