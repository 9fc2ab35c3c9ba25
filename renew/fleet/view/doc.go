// Package view keeps the values that a node has read from the engine: releases, the seat,
// and which nodes are alive and what they report. A value without the signature of the
// right node is ignored.
package view
