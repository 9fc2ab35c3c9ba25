// Package unconfigured finds the certificates of targets that are no longer
// configured, because they were renamed or dropped. They are not renewed, and
// servers may still use them.
//
// [Find] lists them, [CopyRenamed] gives the pair of a renamed target to the target
// of the new name, [Certificate.Remove] removes them. Nothing else removes them.
package unconfigured
