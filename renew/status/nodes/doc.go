// Package nodes describes a fleet as people see it: who orders, what each node does, and how
// far the release of each target has come. All texts may come from other machines.
package nodes
