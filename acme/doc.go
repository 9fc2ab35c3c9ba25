// Package acme obtains certificates from CAs that speak RFC 8555. Only it and the packages
// below it use lego's ACME client, and of that only the lowest layer: requests and their
// signatures. An order takes these steps, each in the file of its name:
//
//	account -> order -> authorization, challenge (concurrently) -> finalize
//
// No request places or finalizes an order unless the log beside the account
// allows it: the limits of the CA are kept even if other packages fail
// ([OrderLog]). Requests go through package transport, and are repeated here;
// package answer reads what the CA sends, and package refusal what it refuses.
//
// Replicas that lag, pages of proxies and URLs at other hosts do not end an order. One
// that is finalized is kept until its certificate is there, the CA calls it invalid,
// or it is stale. Each wait is paced and has an end.
//
// Make a [Client] for each CA with [NewClient] and call [Client.Obtain]. After a
// crash, Obtain with the same [OrderStore] resumes the order (resume.go). The
// package does not know how challenges are solved (see [Solver]) nor where pairs
// are stored.
package acme
