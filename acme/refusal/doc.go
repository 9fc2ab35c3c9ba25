// Package refusal describes the refusals of a CA: problem documents (RFC 8555, section
// 6.7), with the facts that an operator needs and what can be done about each. No remedy
// costs an account, a key or a certificate.
//
// Make a [Problem] with [New] from the document that an ACME library read and the
// answer it came in. The package does not know what a refusal means for an order.
package refusal
