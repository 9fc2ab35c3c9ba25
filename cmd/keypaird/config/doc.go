// Package config reads keypaird.toml. [Config] is the file format and its
// manual; [Load] returns it checked, or every error at once, each with line and
// remedy.
//
// A file is read in this order:
//
//	read (package file) -> parse (document.go) -> decode -> check (checker.go, and one file a table)
//
// The result has every default filled in and every name in one form: lower case,
// A-labels. [Config.Targets] returns the certificates that it asks for,
// [Config.Authority] a CA and [Config.Deployment] a deployment, each with the
// built-in settings that its table does not override. The package opens no
// connection and writes nothing.
package config
