package hooks

import (
	"os"
	"testing"

	"keypaird/renew"

	"golang.org/x/sys/unix"
)

// The chain cannot be replaced, which shows only when the key has been. Going
// back is putting the key back: the chain never changed.
func TestChainIsImmutable(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	if err := os.Chmod(r.crt(plain), 0o644); err != nil { // as it is configured
		t.Fatal(err)
	}
	immutable(t, r.crt(plain))
	err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}})
	failure(t, err, StepInstall).stands(t, true, false, plain)
	if want := "writing " + r.crt(plain) + ": operation not permitted; the previous pair is back in place"; err.Error() != want {
		t.Errorf("error = %q\nwant    %q", err, want)
	}
	r.holds(plain, old)
	r.reloaded()
}

// immutable is chattr +i (FS_IMMUTABLE_FL of linux/fs.h) until the test ends.
func immutable(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags|0x10))
	}
	if err != nil {
		f.Close()
		t.Skipf("no immutable files here: %v", err)
	}
	t.Cleanup(func() {
		unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags))
		f.Close()
	})
}
