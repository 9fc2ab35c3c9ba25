package hooks

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"keypaird/renew"
	"keypaird/renew/testutil"
)

// listenAs listens on a socket as a user and a group: listen(2) is called by a thread
// that has their ids.
func listenAs(t *testing.T, path string, uid, gid int) net.Listener {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	be := func(uid, gid int) {
		for _, call := range []struct{ number, id int }{{unix.SYS_SETRESUID, 0}, {unix.SYS_SETRESGID, gid}, {unix.SYS_SETRESUID, uid}} {
			if _, _, e := syscall.RawSyscall(uintptr(call.number), ^uintptr(0), uintptr(call.id), ^uintptr(0)); e != 0 {
				panic(e)
			}
		}
	}
	be(uid, gid)
	l, err := net.Listen("unix", path)
	be(0, 0)
	testutil.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// A process of another user that took the place of haproxy's socket gets no byte of a
// key, unless it can read the file anyway.
func TestSocketOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		testutil.Missing(t, "root's rights")
	}
	const user, group, other = 64001, 64002, 64003
	for _, tt := range []struct {
		name      string
		uid, gid  int
		fileOwner int
		fileGroup int
		mode      os.FileMode
		sent      bool
	}{
		{"root's", 0, group, 0, 0, 0o600, true},
		{"a stranger's", user, group, 0, 0, 0o600, false},
		{"a stranger's in another group", user, group, 0, other, 0o640, false},
		{"in the group that reads the file", user, group, 0, group, 0o640, true},
		{"in a group that may not read", user, group, 0, group, 0o600, false},
		{"the owner's of the file", user, group, user, 0, 0o600, true},
		{"in the group of root, which may not read", user, 0, 0, 0, 0o600, false},
		{"when every user can read the file", user, group, 0, 0, 0o644, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, shared := safeDir(t), safeDir(t)
			testutil.Must(t, os.Chown(shared, tt.uid, tt.gid)) // as /run/haproxy is haproxy's
			testutil.Must(t, os.Chmod(shared, 0o2775))
			for at := shared; at != "/"; at = filepath.Dir(at) {
				if fi, err := os.Stat(at); err != nil || fi.Mode()&0o001 == 0 {
					testutil.Must(t, os.Chmod(at, fi.Mode().Perm()|0o011))
				}
			}
			l := listenAs(t, filepath.Join(shared, "sock"), tt.uid, tt.gid)
			heard := make(chan string, 9)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						close(heard)
						return
					}
					heard <- answer(conn, map[string]string{"set": "Transaction created\n", "commit": "Success!\n"})
					conn.Close()
				}
			}()
			d := Deployment{
				Name: "haproxy", Combined: dir + "/{name}.pem", Socket: filepath.Join(shared, "sock"),
				Owner: fmt.Sprint(tt.fileOwner), Group: fmt.Sprint(tt.fileGroup), KeyMode: tt.mode,
			}
			old, p := good(t, plain), good(t, plain)
			write(t, filepath.Join(dir, plain+".pem"), string(old.Combined()))
			err := d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}})
			l.Close()
			keys := 0
			for said := range heard {
				keys += strings.Count(said, "PRIVATE KEY")
			}
			if tt.sent {
				if err != nil || keys == 0 {
					t.Errorf("%v, %d keys were sent", err, keys)
				}
				return
			}
			e := failure(t, err, StepReload)
			if keys > 0 || !strings.Contains(e.Error(), fmt.Sprintf("user %d listens there, who may not read", tt.uid)) || !strings.Contains(e.Remedy(), "[deploy.haproxy]") {
				t.Errorf("%d keys were sent, error %q, remedy %q", keys, e, e.Remedy())
			}
			if got := text(t, filepath.Join(dir, plain+".pem")); got != string(old.Combined()) {
				t.Error("the previous pair is not back")
			}
			if err := d.CheckSocket(context.Background(), plain); err == nil {
				t.Error("check finds nothing")
			}
		})
	}
}
