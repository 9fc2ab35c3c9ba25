// Package textfmt makes text of other programs and machines fit to be printed,
// and sets text in lines.
//
// One rule holds for every text: white space of any kind becomes one space, the
// escape sequences that control a terminal are removed, and what is not
// printable (control characters, the marks that reverse the direction of text,
// bytes that are not UTF-8) becomes U+FFFD. So no text can write to a terminal,
// forge a line of a log, or hide that something was there.
//
// A program that reads JSON gets every text as it is: [JSON] escapes what the other
// functions replace. The package knows no other format, such as HTML, and never quotes
// or escapes for one.
package textfmt
