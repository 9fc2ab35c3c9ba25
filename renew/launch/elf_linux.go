package launch

import (
	"debug/elf"
	"io"
	"path/filepath"
	"strings"
)

// interpreter returns the loader of a program that is linked dynamically, else "".
func interpreter(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		text, err := io.ReadAll(p.Open())
		if err != nil {
			return ""
		}
		return strings.TrimRight(string(text), "\x00")
	}
	return ""
}

// libraries returns where the loader finds the libraries of a program, if it needs any.
func libraries(path string) []string {
	loader := interpreter(path)
	if loader == "" {
		return nil
	}
	return []string{
		"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64",
		filepath.Dir(loader), "/etc/ld.so.cache",
	}
}
