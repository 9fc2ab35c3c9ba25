// Package standin makes self-signed pairs that let a server start before the first
// certificate has been issued. They are never rolled back to and never renewed.
//
// The package writes no files: package hooks installs the pairs.
package standin
