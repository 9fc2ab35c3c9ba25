// Package trees reads what other ACME clients keep on disk: accounts, pairs, and how
// names are validated. Each client has a reader of its own, which returns a [Tree];
// [Find] looks in the usual places, [Read] reads one tree.
//
// Readers only read. Shell files are parsed and never run. A file is read if it is
// regular, not too large and inside the tree, and if only root and the user who runs
// this can change it; everything else is a fault, with file, line and remedy.
package trees
