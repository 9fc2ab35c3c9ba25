// Package rollover decides which key a certificate is ordered for when peers know
// the key by TLSA records (DANE, RFC 6698).
//
// Peers refuse a key that none of the records names. So a target with TLSA
// records keeps the key of its next certificate on disk beforehand, and the
// operator publishes the records of both keys. The rules (RFC 7671, section 8.1):
//
//   - a certificate may have the next key when its record has been seen at every
//     name, at every name server, for two of its TTLs or longer: by then no cache
//     has the records before it;
//   - until then the certificate has the key of the one before it, whose record is
//     there: it is never delayed, not even if the operator forces it or the
//     configuration wants another type of key;
//   - the first certificate may have a key without a record where there are no
//     TLSA records that peers can use. Where there are, it waits for its own;
//   - a lost key delays nothing either: with a quarter of the lifetime left, the
//     next key takes its place.
//
// The package is pure: a [State] is what is stored and what was observed, and its
// methods judge that at an instant.
package rollover
