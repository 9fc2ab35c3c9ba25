// Package front bounds the connections of unknown clients so that none of them keeps out
// another. A connection is waiting until its request has been received, and answering from
// then on. The number of each is bounded, and so is the number from one address; one more
// replaces the oldest. A client that is slow or silent thus delays no other, however many
// connections it makes.
//
// The addresses of a network are one: for IPv6 those of a /64. Loopback and unix sockets
// are exempt from the bound for an address: a proxy there has the connections of all.
package front
