// Package view is what a node knows of its fleet from the engine: releases, the seat, and
// which nodes are alive and what they report. Nothing in it is trusted that the right
// node has not signed.
package view
