// Package tlsa reads, makes and compares TLSA records, by which peers know a key
// (DANE, RFC 6698 and 7671). Whether peers can use a record, and whether it is for a
// certificate, is decided here alone. Text of a record is as in a zone file: three
// numbers and hexadecimal in lower case.
//
// The package queries no name server and does not verify chains: hooks/probe does that
// for usage 2, and renew/rollover decides what follows from records for a key.
package tlsa
