// Package fleet is "keypaird fleet": it makes this machine's key, begins a fleet in an
// engine, and says which rights the engine has to give to each node.
//
//	keypaird fleet key      STATE/fleet/node.key, and its line of [fleet.nodes]
//	keypaird fleet init     the id of the fleet: in the engine, and STATE/fleet/id
//	keypaird fleet status   what each node does, and how far each release has come
//
// What a node does from then on is in packages renew/fleet and cmd/keypaird/node.
package fleet
