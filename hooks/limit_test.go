package hooks

import "golang.org/x/sys/unix"

// setMaxFile lets no file of this process become larger than n bytes. The
// types of the fields differ between systems.
func setMaxFile(n uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &l); err != nil {
		return err
	}
	set(&l.Cur, n)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &l)
}

func set[T int64 | uint64](field *T, n uint64) { *field = T(n) }
