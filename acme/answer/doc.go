// Package answer reads the answers of a CA before an ACME library does, which
// believes what it is sent or puts its own types into its errors. The package
//
//   - accepts what can be read in one way only, and spells it as RFC 8555 does:
//     relative URLs, names spelled otherwise than they were ordered, optional
//     members of a wrong type, certificates with text around them or out of order;
//   - says in one line what is wrong with any other answer;
//   - refuses URLs at which requests may not be sent.
//
// Requests may go to the host of the directory and to the hosts that the directory
// names, by https. The directory is what the operator configured (section 7.1): a URL
// at another host is a mistake of a CA behind a proxy, or an attempt to let this
// machine send requests into its own network. It is refused when it is read, before a
// challenge is answered or a certificate is issued for it.
//
// Use a [Reader] for each answer with a good status, and [Problem] for the others.
package answer
