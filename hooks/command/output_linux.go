package command

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openOutput opens a file in memory: it needs no directory that can be written, and
// can be sealed. A kernel may demand that it cannot be executed, or not know that.
func openOutput() (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("hook-output", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("hook-output", flags)
	}
	if err != nil {
		return openTemporary()
	}
	file := os.NewFile(uintptr(fd), "output")
	if _, err := unix.FcntlInt(file.Fd(), unix.F_SETFL, unix.O_APPEND); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// dropStart frees the first n bytes. Those behind stay where they are, so that
// nothing is lost that is being written.
func dropStart(file *os.File, n int64) {
	_ = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, n)
}

// release lets the processes that have the file write maxLater bytes into it, and no
// more. They share position and flags with us. It fails for a file that cannot be
// sealed.
func release(file *os.File) {
	fd := int(file.Fd())
	if _, err := unix.FcntlInt(file.Fd(), unix.F_GET_SEALS, 0); err != nil {
		return
	}
	_, _ = unix.FcntlInt(file.Fd(), unix.F_SETFL, 0)
	_, _ = unix.Seek(fd, 0, 0)
	_ = unix.Ftruncate(fd, 0)
	_ = unix.Ftruncate(fd, maxLater) // takes no memory yet
	_, _ = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
}
