// Package pairtest makes pairs for tests, signed by a root of their own.
package pairtest
