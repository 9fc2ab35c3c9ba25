// Package acme obtains certificates from CAs that speak RFC 8555. It is the only
// package that knows lego's ACME, of which it uses the lowest layer: requests
// and their signatures. An order takes these steps, each in the file of its name:
//
//	account -> order -> authorization, challenge (concurrently) -> finalize
//
// No request places or finalizes an order unless the log beside the account
// allows it: the limits of the CA are kept even if other packages fail
// ([OrderLog]). Requests go through package transport, and are repeated here.
//
// Make a [Client] for each CA with [NewClient] and call [Client.Obtain]. The
// package does not know how challenges are solved (see [Solver]) nor where pairs
// are stored. After a crash, Obtain with the same Pending directory resumes the
// order.
package acme
