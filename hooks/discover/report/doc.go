// Package report turns what package discover found from endpoints to names: which
// names certificates need, where each must be served, and how it can be validated.
//
// [New] makes the [Document] of an answer. [Document.WriteText] prints it, and
// [Document.Err] is the error that it amounts to.
package report
