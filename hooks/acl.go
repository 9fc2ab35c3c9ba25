package hooks

import (
	"encoding/binary"
	"io/fs"
)

// An acl is the access control list of a file, as Linux keeps it in the
// extended attribute system.posix_acl_access: four bytes of version, then
// eight bytes an entry: tag, permissions, id, all little-endian (acl(5)). Nil: the
// file has none, its mode says it all.
type acl []byte

// The form of an acl.
const (
	aclVersion = 2
	aclHeader  = 4
	aclEntry   = 8
)

// The tags of entries that the bits of a mode stand for. With a mask, the bits
// of the group are those of the mask, not of the group.
const (
	aclUserObj  = 0x01
	aclGroupObj = 0x04
	aclMask     = 0x10
	aclOther    = 0x20
)

// entries calls do for each entry, and reports whether a has the known form.
func (a acl) entries(do func(tag uint16, perm []byte)) bool {
	if len(a) < aclHeader || binary.LittleEndian.Uint32(a) != aclVersion || (len(a)-aclHeader)%aclEntry != 0 {
		return false
	}
	for e := a[aclHeader:]; len(e) > 0; e = e[aclEntry:] {
		do(binary.LittleEndian.Uint16(e), e[2:4])
	}
	return true
}

// withMode returns a copy of a in which owner, group and all others have the
// permissions of mode; those of named users and groups stay as they are.
func (a acl) withMode(mode fs.FileMode) acl {
	b := append(acl(nil), a...)
	known := b.entries(func(tag uint16, perm []byte) {
		switch tag {
		case aclUserObj:
			perm[0] = byte(mode >> 6 & 7)
		case aclGroupObj:
			perm[0] = byte(mode >> 3 & 7)
		case aclOther:
			perm[0] = byte(mode & 7)
		}
	})
	if !known {
		return nil
	}
	return b
}

// shown is the mode that a file with the list a and the given mode shows: a
// mask stands in place of the group.
func (a acl) shown(mode fs.FileMode) fs.FileMode {
	a.entries(func(tag uint16, perm []byte) {
		if tag == aclMask {
			mode = mode&^0o070 | fs.FileMode(perm[0]&7)<<3
		}
	})
	return mode
}

// without is the mode for a file that shows mode and is to be had without its
// list a: the group gets what the list gives it, and nobody gets more.
func (a acl) without(mode fs.FileMode) fs.FileMode {
	if a == nil {
		return mode
	}
	var group fs.FileMode
	a.entries(func(tag uint16, perm []byte) {
		if tag == aclGroupObj {
			group = fs.FileMode(perm[0] & 7)
		}
	})
	return mode & (^fs.FileMode(0o070) | group<<3)
}
