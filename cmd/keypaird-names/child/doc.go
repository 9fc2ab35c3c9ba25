// Package child is the program keypaird-names: [Main] reads a request, as package message
// describes it, discovers or verifies, and writes the answer.
//
// What services need comes from packages discover and plan, with the tables of a
// configuration that has the names certified; what endpoints serve, from package verify.
package child
