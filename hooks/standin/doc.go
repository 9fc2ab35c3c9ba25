// Package standin makes self-signed pairs that let a server start before the first
// certificate has been issued. They are never rolled back to and never renewed.
//
// The package writes no files: what is made here is installed by package hooks.
package standin
