//go:build !linux

package command

import "os"

func openOutput() (*os.File, error) { return openTemporary() }

// dropStart drops everything: only Linux can free the start of a file everywhere.
func dropStart(file *os.File, _ int64) { _ = file.Truncate(0) }

// release frees what has been read.
func release(file *os.File) { _ = file.Truncate(0) }
