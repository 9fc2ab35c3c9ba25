// Package plan plans the move of a Matrix domain from SRV records to well-known
// documents, or back.
//
// [Make] compares what package discover finds today with what it would find after
// the move, and returns a [Plan]: what to publish and to remove, how long caches
// need, which names can then be left out of which certificate, and what is still
// in the way. [Plan.WriteText] prints it. Nothing is changed.
package plan
