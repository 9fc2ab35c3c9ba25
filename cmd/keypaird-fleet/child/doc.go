// Package child is the program keypaird-fleet: [Main] serves the requests of package wire
// with etcd v3.
//
// Each key has the prefix of the settings before it. A follow is a watch for each prefix,
// on a member that has a leader. Nothing is repeated that may have happened, and no value
// is logged or quoted. What it holds is bounded: a keypaird that does not read is sent no
// more, and a follow that falls behind ends.
package child
