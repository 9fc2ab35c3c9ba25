//go:build !(linux && (amd64 || arm64))

package durable

import "os"

// startWriteback is for systems that have sync_file_range(2).
func startWriteback(*os.File) {}
