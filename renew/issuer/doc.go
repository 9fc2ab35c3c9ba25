// Package issuer is what package renew asks of a CA, or of the files of an external
// certificate.
package issuer
