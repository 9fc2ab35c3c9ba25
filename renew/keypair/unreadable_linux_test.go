package keypair

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// A file that may not be read is replaced, and the others are put right as well: the system
// user may do that, as the directory is his.
func TestMendUnreadable(t *testing.T) {
	ca := newCA(t)
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, d string)
		found []string
		lost  string
	}{
		{"one that follows", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/cert.pem", 0))
			damage(t, d+"/combined.pem", nil)
		}, []string{"cert.pem cannot be read: permission denied", "combined.pem is empty"}, ""},
		{"the key", func(t *testing.T, d string) { must(t, os.Chmod(d+"/privkey.pem", 0)) }, []string{"privkey.pem cannot be read: permission denied"}, ""},
		{"the chain", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/fullchain.pem", 0))
			must(t, os.Remove(d+"/chain.pem"))
		}, []string{"fullchain.pem cannot be read: permission denied", "chain.pem is gone"}, ""},
		{"all of the key", func(t *testing.T, d string) {
			must(t, os.Chmod(d+"/privkey.pem", 0))
			must(t, os.Chmod(d+"/combined.pem", 0))
		}, nil, "/privkey.pem: permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			v := add(t, s, name, ca.pair(t, name))
			setLive(t, s, name, v)
			tt.spoil(t, v.Dir)
			var found []string
			var err error
			withoutOverride(t, func() {
				l, _ := s.Look(name, "x")
				if !slices.Equal(l.Damaged, []string{v.ID}) {
					t.Errorf("a look says that %q are damaged", l.Damaged)
				}
				err = s.Repair(name, v.ID, func(list []Damage) {
					for _, d := range list {
						found = append(found, strings.TrimPrefix(d.String(), v.Dir+"/"))
					}
				})
			})
			if !slices.Equal(found, tt.found) {
				t.Errorf("found %q, want %q", found, tt.found)
			}
			if tt.lost != "" {
				if err == nil || !strings.HasSuffix(err.Error(), tt.lost) {
					t.Errorf("Repair: %v, want an error that ends in %s", err, tt.lost)
				}
				return
			}
			must(t, err)
			must(t, modes(v.Dir))
			if again, err := s.Live(name); err != nil || string(again.Pair.Combined()) != string(v.Pair.Combined()) {
				t.Errorf("then Live = %v, %v", again.ID, err)
			}
		})
	}
}

// withoutOverride calls do on a thread that has to keep to the modes of files, also as root.
func withoutOverride(t *testing.T, do func()) {
	t.Helper()
	done := make(chan syscall.Errno)
	go func() { // its thread ends with it
		runtime.LockOSThread()
		header := struct {
			version uint32
			pid     int32
		}{version: 0x20080522}
		var sets [2]struct{ effective, permitted, inheritable uint32 }
		_, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets[0])), 0)
		if errno == 0 {
			do()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Fatal(errno)
	}
}
