// Package exposed finds files with secrets that other users can read: a careless copy
// of a state directory loses its modes, or its owners.
//
// A file is exposed if its mode lets a group or all users read it, other than it should,
// and no directory above it keeps them out; or if it belongs to another user than root, our
// own and those it was written for, who knows its content. Our own group and that of root
// do not count as other users. Access control lists are the operator's.
package exposed
