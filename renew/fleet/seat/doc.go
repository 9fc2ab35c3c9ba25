// Package seat elects the one node of a fleet that orders for all. The seat is a key in the
// engine under a lease; the node that has set it sits in the seat, for a term.
//
// Each write of a term is a commit on the condition that the seat still has the value
// that the node gave it (the fence): a node that was stopped for a while writes nothing
// over what its successor wrote. The value is random, for revisions may come again after
// the engine was restored from a backup.
package seat
