// Package sockets opens all sockets of keypaird that lead to other programs and machines,
// and looks up all names, once the process has given up its rights (see package rights).
// A test sees that no other package linked into keypaird does.
package sockets
