package years

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// disturbance does one thing that others do.
func (d *disturbed) disturbance() {
	name := d.names[d.rng.IntN(len(d.names))]
	switch d.rng.IntN(3) {
	case 0:
		d.files(name)
	case 1:
		d.endpoint(name)
	default:
		d.state(name)
		if d.rng.IntN(4) == 0 {
			d.files(name)
		}
	}
}

// touch notes that something is done to a target until some time; "": to all.
func (d *disturbed) touch(name string, until time.Time, format string, args ...any) {
	for _, n := range d.names {
		if (name == "" || name == n) && until.After(d.touched[n]) {
			d.touched[n] = until
		}
	}
	d.note(name+": "+format, args...)
}

// files overwrites what is deployed, and sometimes has the server load it.
func (d *disturbed) files(name string) {
	chain, key := filepath.Join(d.front.dir, name+".crt"), filepath.Join(d.front.dir, name+".key")
	file := []string{chain, key}[d.rng.IntN(2)]
	base, did := filepath.Base(file), ""
	before := d.pairs[name][max(0, len(d.pairs[name])-2-d.rng.IntN(3))]
	d.served(name) // what was reloaded before is loaded
	switch d.rng.IntN(8) {
	case 0:
		did = base + " emptied"
		d.must(os.Truncate(file, 0))
	case 1:
		did = base + " removed"
		d.must(os.Remove(file))
	case 2:
		mode := []fs.FileMode{0, 0o400, 0o640, 0o666, 0o755}[d.rng.IntN(5)]
		did = fmt.Sprintf("%s has mode %o", base, mode)
		d.must(os.Chmod(file, mode))
	case 3, 4:
		did = fmt.Sprintf("both as on day %.1f", d.day(before.Leaf.NotBefore))
		d.must(os.WriteFile(chain, before.FullChain(), 0o644))
		d.must(os.WriteFile(key, before.Key(), 0o600))
	case 5:
		did = "the key is an earlier one"
		d.must(os.WriteFile(key, before.Key(), 0o600))
	case 6:
		did = base + " has something else"
		d.must(os.WriteFile(file, []byte("something else\n"), 0o600))
	default:
		other := d.pairs[d.names[d.rng.IntN(len(d.names))]]
		did = "another target's pair"
		d.must(os.WriteFile(chain, other[len(other)-1].FullChain(), 0o644))
		d.must(os.WriteFile(key, other[len(other)-1].Key(), 0o600))
	}
	now := d.trueTime()
	if d.rng.IntN(3) == 0 {
		did += ", loaded"
		d.excused[name] = now.Add(26 * time.Hour)
		f, err := os.OpenFile(d.reloads(), os.O_APPEND|os.O_WRONLY, 0)
		d.must(err)
		_, err = f.WriteString("\n")
		d.must(errors.Join(err, f.Close()))
		d.served(name)
	}
	d.touch(name, now, "%s", did)
}

func (d *disturbed) must(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.t.Errorf("day %.2f: %v", d.day(d.trueTime()), err)
	}
}

// endpoint gives the server some bad hours.
func (d *disturbed) endpoint(name string) {
	now := d.trueTime()
	end := now.Add(time.Hour + time.Duration(d.rng.Int64N(int64(36*time.Hour))))
	set := func(do func()) {
		d.front.mu.Lock()
		defer d.front.mu.Unlock()
		do()
	}
	switch d.rng.IntN(4) {
	case 0:
		d.touch("", end, "down until day %.2f", d.day(end))
		d.outside(d.front.down)
		d.until(end, func() { d.outside(d.up) })
	case 1:
		d.touch("", end, "ignores reloads until day %.2f", d.day(end))
		set(func() { d.stuck = true })
		d.until(end, func() { set(func() { d.stuck = false }) })
	case 2:
		d.touch(name, end, "not known until day %.2f", d.day(end))
		set(func() { d.unknown = name + ".test" })
		d.until(end, func() { set(func() { d.unknown = "" }) })
	default:
		d.touch("", end, "comes and goes until day %.2f", d.day(end))
		for at := now; at.Before(end); at = at.Add(2 * time.Hour) {
			d.until(at, func() { d.outside(d.front.down) })
			d.until(at.Add(time.Hour), func() { d.outside(d.up) })
		}
	}
}

// until has something done at a time, or soon after it.
func (d *disturbed) until(at time.Time, do func()) {
	for ; d.undo[at] != nil; at = at.Add(time.Nanosecond) {
	}
	d.undo[at] = do
}

// backup copies state and accounts.
func (d *disturbed) backup() {
	to := filepath.Join(d.dir, fmt.Sprint("backup", len(d.backups)))
	d.copyTree(filepath.Join(d.dir, "state", "certs"), filepath.Join(to, "certs"))
	d.copyTree(filepath.Join(d.dir, "accounts"), filepath.Join(to, "accounts"))
	d.backups = append(d.backups, to)
}

// copyTree replaces what is in a directory by what is in another.
func (d *disturbed) copyTree(from, to string) {
	old, _ := os.ReadDir(to)
	for _, e := range old {
		d.must(os.RemoveAll(filepath.Join(to, e.Name())))
	}
	d.must(filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case e.IsDir():
			return os.MkdirAll(at, 0o700)
		case e.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			return errors.Join(err, os.Symlink(link, at))
		}
		data, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(at, data, 0o600))
	}))
}

// state restores a backup, or parts of one, or loses something.
func (d *disturbed) state(name string) {
	from := d.backups[max(0, len(d.backups)-1-d.rng.IntN(6))]
	in := filepath.Join(d.dir, "state", "certs", name)
	newest, err := d.store.Newest(name)
	target, did := name, ""
	switch d.rng.IntN(9) {
	case 0:
		target, did = "", filepath.Base(from)+" restored"
		d.copyTree(filepath.Join(from, "certs"), filepath.Join(d.dir, "state", "certs"))
		d.copyTree(filepath.Join(from, "accounts"), filepath.Join(d.dir, "accounts"))
	case 1:
		target, did = "", filepath.Base(from)+" restored, without accounts"
		d.copyTree(filepath.Join(from, "certs"), filepath.Join(d.dir, "state", "certs"))
	case 2:
		did = filepath.Base(from) + " restored for it"
		d.copyTree(filepath.Join(from, "certs", name), in)
	case 3, 4:
		did = "record.json lost"
		d.must(os.Remove(filepath.Join(in, "record.json")))
	case 5:
		did = "record.json of " + filepath.Base(from)
		data, err := os.ReadFile(filepath.Join(from, "certs", name, "record.json"))
		d.must(errors.Join(err, os.WriteFile(filepath.Join(in, "record.json"), data, 0o600)))
	case 6:
		did = "live lost"
		d.must(os.Remove(filepath.Join(in, "live")))
	case 7:
		did = "newest version lost"
		if err == nil {
			d.must(os.RemoveAll(newest.Dir))
		}
	default:
		did = "newest key emptied"
		if err == nil {
			d.must(os.Truncate(filepath.Join(newest.Dir, "privkey.pem"), 0))
		}
	}
	d.touch(target, d.trueTime(), "%s", did)
	for _, n := range d.names {
		if (target == "" || target == n) && !d.kept(n) {
			d.lost[n]++
		}
	}
}

// kept reports whether the pair that was issued last still is in the store or deployed.
func (d *disturbed) kept(name string) bool {
	last := d.pairs[name][len(d.pairs[name])-1]
	if v, err := d.store.Newest(name); err == nil && v.Pair.Fingerprint() == last.Fingerprint() {
		return true
	}
	chain, _ := os.ReadFile(filepath.Join(d.front.dir, name+".crt"))
	key, _ := os.ReadFile(filepath.Join(d.front.dir, name+".key"))
	return bytes.Equal(chain, last.FullChain()) && bytes.Equal(key, last.Key())
}
