// Package rollover decides which key a certificate is ordered for when TLSA records
// bind peers to the key (DANE, RFC 6698).
//
// Peers refuse a key that matches none of the records. So a target with TLSA
// records keeps the key of its next certificate on disk beforehand, and the
// operator publishes the records of both keys. The rules (RFC 7671, section 8.1):
//
//   - a certificate may have the next key when every name server has served its
//     record at every name for at least two TTLs: by then no cache has older
//     records;
//   - until then, a renewal keeps the key of the previous certificate, which has a
//     record: it is never delayed, not even if the operator forces it or the
//     configuration requests another key type;
//   - the first certificate may have a key without a record if no name has a
//     usable TLSA record. Otherwise it waits for its own record;
//   - if the operator asks for a new key, only the next one will do: its record comes
//     first, and until then nothing is ordered;
//   - a lost key delays nothing either: with a quarter of the lifetime left, the
//     next key replaces it.
//
// The package is pure: a [State] contains stored and observed facts, and its methods
// evaluate them at an instant.
package rollover
