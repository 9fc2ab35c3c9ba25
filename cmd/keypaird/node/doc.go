// Package node makes this machine a node of a fleet: it joins package renew/fleet to what a
// single machine has. Two rules make that small:
//
//   - A node that takes the seat takes over what the engine knows into its own files: accounts,
//     orders under way, order logs and what records say of ordering. From then on all code
//     reads files, as on a single machine. See [Node.Begin].
//   - While it sits, each save of these goes to the file, then to the engine, in a commit
//     that fails once another node sits. After an error nothing is sent to the CA.
//
// The parts are wrappers: [Node.Orders], [Node.Account] and [Node.OrderLog] of what package
// acme keeps, [Node.Sharing] of a target in package renew, [Node.Solver] of http-01, and
// [Node.NoteTXT] of dns-01.
package node
