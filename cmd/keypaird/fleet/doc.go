// Package fleet is "keypaird fleet": it makes this machine's key, begins a fleet in its
// engine, shows it, and asks the node that orders for something. The commands issue and
// "status -fleet" use it, too.
//
//	keypaird fleet key      STATE/fleet/node.key, and its line of [fleet.nodes]
//	keypaird fleet init     the id of the fleet: in the engine, and STATE/fleet/id
//	keypaird fleet status   what each node does, and how far each release has come
//	keypaird fleet VERB     any other one is an ask, which the node in the seat answers: ask.go
//
// What a node does from then on is in packages renew/fleet and cmd/keypaird/node.
package fleet
