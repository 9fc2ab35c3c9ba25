package servers

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// A manager stands in for the machine's where a server may have to be started
// again: the server is its child and in its group.
type manager struct {
	*process
	home string
}

// manage starts a server under a manager of its own, and again whenever it is
// told to.
func manage(t *testing.T, home, command string) *manager {
	t.Helper()
	fifo := filepath.Join(home, "restart")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := fmt.Sprintf(`while :; do
	(%s) & echo $! >%s/main
	wait
	rm %[2]s/main
	read word <%s
done`, command, home, fifo)
	return &manager{start(t, home, "", []string{"sh", "-c", loop}), home}
}

// reload is a command that fails if the server does not run, as systemctl's
// does, and then does what the unit says.
func (m *manager) reload(t *testing.T, command string) []string {
	t.Helper()
	body := fmt.Sprintf(`kill -0 $(cat %s/main) || { echo "not active, cannot reload" >&2; exit 1; }
exec %s`, m.home, command)
	return []string{script(t, filepath.Join(m.home, "reload.sh"), body)}
}

// restart is a command that ends the server, if it runs, and starts it.
func (m *manager) restart(t *testing.T) []string {
	t.Helper()
	body := fmt.Sprintf("kill $(cat %[1]s/main) 2>/dev/null; echo now >%[1]s/restart", m.home)
	return []string{script(t, filepath.Join(m.home, "restart.sh"), body)}
}
