package keypair

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"keypaird/renew/durable"
)

func TestUmask(t *testing.T) {
	p := newCA(t).pair(t, name)
	tmp := t.TempDir()
	damage(t, tmp+"/chain", p.FullChain())
	damage(t, tmp+"/key", p.Key())
	for _, mask := range []string{"0", "022", "027", "077", "0177", "0777"} {
		dir := filepath.Join(tmp, "umask"+mask, "state")
		cmd := exec.Command(os.Args[0], dir, mask, tmp+"/chain", tmp+"/key")
		cmd.Env = helperEnviron("umask")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("umask %s: %v: %s", mask, err, out)
			continue
		}
		if err := modes(filepath.Dir(dir)); err != nil {
			t.Errorf("umask %s: %v", mask, err)
		}
		if v, err := open(t, dir).Live(name); err != nil {
			t.Errorf("umask %s: %v, %v", mask, v, err)
		}
	}
}

// helpUmask fills a store under an umask: DIR UMASK CHAIN KEY.
func helpUmask(args []string) error {
	var mask int
	if _, err := fmt.Sscanf(args[1], "%o", &mask); err != nil {
		return err
	}
	syscall.Umask(mask)
	p, err := readPair(args[2], args[3])
	if err != nil {
		return err
	}
	s, err := Open(args[0])
	if err != nil {
		return err
	}
	v, err := s.Add("example.org", p)
	if err != nil {
		return err
	}
	if err := s.SetLive("example.org", v); err != nil {
		return err
	}
	lock, err := durable.TryLock(filepath.Join(args[0], "lock"))
	if err != nil {
		return err
	}
	if err := lock.Release(); err != nil {
		return err
	}
	return s.WriteFile("example.org", "pending/key.pem", []byte("key"))
}

func readPair(chain, key string) (*Pair, error) {
	c, err := os.ReadFile(chain)
	if err != nil {
		return nil, err
	}
	k, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	return Parse(c, k)
}
