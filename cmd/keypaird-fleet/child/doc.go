// Package child is the program keypaird-fleet: [Main] serves the requests of package wire
// with etcd v3.
//
// Each key has the prefix of the settings before it. A follow is a watch for each prefix,
// on a member that has a leader. A request that may have taken effect is never repeated,
// and no value is logged or quoted. Memory is bounded: nothing more is sent to a keypaird
// that does not read, and a follow that falls behind ends.
package child
