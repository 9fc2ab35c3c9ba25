// Package issuer defines the interfaces through which package renew obtains certificates,
// from a CA or from the files of an external certificate.
package issuer
