package acl

import (
	"encoding/binary"
	"io/fs"
	"os"
	"syscall"
)

// A List is the access control list of a file, as Linux keeps it in the
// extended attribute system.posix_acl_access: four bytes of version, then
// eight bytes an entry: tag, permissions, id, all little-endian (acl(5)). Nil: the
// file has none, only a mode.
type List []byte

// The format of a list.
const (
	version = 2
	header  = 4
	entry   = 8
)

// The tags of entries that the bits of a mode stand for. With a mask, the bits
// of the group are those of the mask, not of the group.
const (
	tagUser  = 0x01
	tagGroup = 0x04
	tagMask  = 0x10
	tagOther = 0x20
)

// entries calls do for each entry, and reports whether a has the known format.
func (a List) entries(do func(tag uint16, perm []byte)) bool {
	if len(a) < header || binary.LittleEndian.Uint32(a) != version || (len(a)-header)%entry != 0 {
		return false
	}
	for e := a[header:]; len(e) > 0; e = e[entry:] {
		do(binary.LittleEndian.Uint16(e), e[2:4])
	}
	return true
}

// WithMode returns a copy of a in which owner, group and all others have the
// permissions of mode; those of named users and groups stay as they are.
func (a List) WithMode(mode fs.FileMode) List {
	b := append(List(nil), a...)
	known := b.entries(func(tag uint16, perm []byte) {
		switch tag {
		case tagUser:
			perm[0] = byte(mode >> 6 & 7)
		case tagGroup:
			perm[0] = byte(mode >> 3 & 7)
		case tagOther:
			perm[0] = byte(mode & 7)
		}
	})
	if !known {
		return nil
	}
	return b
}

// Shown returns the mode that stat reports for a file with the list a and the given
// mode: a mask replaces the bits of the group.
func (a List) Shown(mode fs.FileMode) fs.FileMode {
	a.entries(func(tag uint16, perm []byte) {
		if tag == tagMask {
			mode = mode&^0o070 | fs.FileMode(perm[0]&7)<<3
		}
	})
	return mode
}

// Without returns the mode for a copy, without the list a, of a file that shows mode.
// The group keeps its rights of the list, and no one gets more.
func (a List) Without(mode fs.FileMode) fs.FileMode {
	if a == nil {
		return mode
	}
	var group fs.FileMode
	a.entries(func(tag uint16, perm []byte) {
		if tag == tagGroup {
			group = fs.FileMode(perm[0] & 7)
		}
	})
	return mode & (^fs.FileMode(0o070) | group<<3)
}

// Of returns the list of the file at path with the given info. A list that cannot
// be read has an unknown format: its rights are unknown.
func Of(path string, info fs.FileInfo) List {
	h, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return List{}
	}
	defer h.Close()
	if now, err := h.Stat(); err != nil || !os.SameFile(now, info) {
		return List{}
	}
	return read(h)
}
