// Package envelope protects what the nodes of a fleet keep in an engine that anybody may
// own. Each value is signed by the node that wrote it, over the key it is stored at and
// the fleet it belongs to; private keys inside are encrypted to the nodes that may have
// them.
//
//	identity := Read or Make       STATE/fleet/node.key, on each node
//	Members, from [fleet.nodes]    the public halves, never read from the engine
//	Seal, Sign  -> the engine ->  Members.Open, Unseal
//
// The package knows nothing of what the values say, apart from the Header.
package envelope
