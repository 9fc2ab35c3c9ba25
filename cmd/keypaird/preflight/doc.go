// Package preflight tries everything that issuing needs, and orders nothing.
package preflight
