// Package acme obtains certificates from CAs that speak RFC 8555. It is the only
// package that knows lego's ACME, of which it uses the lowest layer: requests
// and their signatures. The order of things is its own:
//
//	account -> order -> prove each name, side by side -> finalize -> fetch -> check
//
// Nothing is ordered that the log beside the account does not allow: whatever
// fault there is elsewhere, the limits of the CA are kept ([OrderLog]).
//
// Make a [Client] for each CA with [NewClient] and call [Client.Obtain]. The
// package does not know how a challenge is answered (see [Solver]) nor where the
// pair is kept; a killed Obtain goes on where it was when called again with the
// same Pending directory.
package acme
