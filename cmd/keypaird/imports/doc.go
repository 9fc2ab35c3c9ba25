// Package imports takes over from another ACME client: [New] plans the configuration for
// what package trees found, [Plan.Write] writes it and takes accounts and pairs into the
// state directory, [Runners] finds what runs the other client.
//
// Nothing is ever replaced: neither a configuration nor an account nor a pair. What was
// written by a run that was killed is found and left as it is by the next one. The other
// client's files stay as they are.
package imports
