// Package unixsocket listens on Unix sockets that no other user can open or replace,
// and reads which user listens at the other end of a connection.
//
// The path of a socket says little about the process behind it: the directory may belong
// to a service, or be shared by a group with members that can put a socket of their own
// in its place. The kernel knows the user who called listen(2), and [PeerOf] asks it.
package unixsocket
