// Package wave decides which nodes of a fleet may deploy a release, and when it is their
// turn: first one node, then more and more of them, then all.
//
//   - A wave is a number of nodes or a part of those that deploy the target, and includes
//     the waves before it. Nodes are taken in their order, and only if they are alive.
//   - The next wave begins when all living nodes of this one have verified the release, and
//     it was watched for the time to bake after that.
//   - A node that fails holds the release, until it succeeds. After its third failure
//     another node takes its place in the wave; but one node in ten, or one in a wave of
//     less than ten, may fail for good: more than that hold the release.
//   - A node that was not alive for two minutes holds nothing. It deploys when it is back
//     and the release has come to all.
//   - An urgent release is for all at once.
//   - A person may hold a release, let it go to all, or roll back to the one before.
//
// The package is pure: what it decides on is given to it, and it changes nothing.
package wave
