// Package nodes describes a fleet to its operators: which node orders, what each node does,
// and how far the release of each target has come. Texts in a [Fleet] may come from other
// machines. [Fleet.WriteText] is for a terminal; package renew/status has the page.
package nodes
