// Package textfmt makes text of other programs and machines fit to be printed,
// and sets text in lines.
//
// One rule holds for every text: white space of any kind becomes one space, the
// escape sequences that control a terminal are removed, and what is not
// printable (control characters, the marks that reverse the direction of text,
// bytes that are not UTF-8) becomes U+FFFD. So no text can write to a terminal,
// forge a line of a log, or hide that something was there.
//
// The package knows no format, such as JSON or HTML, and never quotes or escapes for
// one.
package textfmt
