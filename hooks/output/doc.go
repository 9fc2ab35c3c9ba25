// Package output knows the kinds of files in which servers read a pair: how each is made,
// and which pair is in some of them. It neither reads nor writes files.
package output
