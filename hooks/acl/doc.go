// Package acl copies the access control list of a file to the file that replaces
// it: [Of], then [List.WithMode] and [Write]. It supports Linux only; on other
// systems no file has a list.
//
// The package does not decide which rights a file is to have: package hooks does.
package acl
