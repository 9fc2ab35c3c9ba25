package hooks

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keypaird/hooks/acl"
	"keypaird/renew"
)

// The groups of the files in these tests: that of the file before, the configured
// one, and that of the directory.
const groupBefore, groupConfigured, groupOfDir = 23451, 23452, 23453

// readers lists who can read the file at path, besides root.
func readers(t *testing.T, path string) []string {
	t.Helper()
	f, ok, err := read(path)
	if err != nil || !ok || f.gone {
		t.Fatalf("%s cannot be read: %v", path, err)
	}
	var list []string
	may := func(who string, perm, mask byte) {
		if perm&mask&4 != 0 {
			list = append(list, who)
		}
	}
	group := fmt.Sprint("group ", f.mode.GID)
	if f.acl == nil {
		may(group, byte(f.mode.Perm>>3), 7)
		may("others", byte(f.mode.Perm), 7)
		return list
	}
	mask := byte(f.mode.Perm >> 3)
	for e := f.acl[4:]; len(e) > 0; e = e[8:] {
		switch binary.LittleEndian.Uint16(e) {
		case 0x02:
			may(fmt.Sprint("user ", binary.LittleEndian.Uint32(e[4:])), e[2], mask)
		case 0x04:
			may(group, e[2], mask)
		case 0x20:
			may("others", e[2], 7)
		}
	}
	return list
}

// A key that takes the place of another is readable for those whom the configuration
// or the list of the file before names, and one that is put back for nobody who could
// not read the file before: whatever modes, groups and lists there are.
func TestNobodyReadsMoreThanBefore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to groups")
	}
	old, other, p := good(t, plain), good(t, plain), good(t, plain)
	lists := map[string]acl.List{"no list": nil, "list": newACL(6, 0, 4, 4, 0), "list and mask 0": newACL(6, 4, 4, 0, 0), "list with the group": newACL(6, 4, 4, 4, 0)}
	for _, before := range []os.FileMode{0o600, 0o644} {
		for _, configured := range []os.FileMode{0o600, 0o640} {
			for _, group := range []string{"", fmt.Sprint(groupConfigured)} {
				for name, list := range lists {
					for _, defaults := range []bool{false, true} {
						for _, outcome := range []string{"renewed", "check fails", "reload fails", "reload fails, another pair in place"} {
							t.Run(fmt.Sprintf("%o to %o, group %q, %s, defaults %v, %s", before, configured, group, name, defaults, outcome), func(t *testing.T) {
								t.Parallel()
								dir := safeDir(t)
								key := filepath.Join(dir, plain+".key")
								d := Deployment{Name: "x", Key: dir + "/{name}.key", Chain: dir + "/{name}.crt", Group: group, KeyMode: configured}
								write(t, key, string(old.Key()))
								write(t, filepath.Join(dir, plain+".crt"), string(old.FullChain()))
								if err := os.Chown(key, 0, groupBefore); err != nil {
									t.Fatal(err)
								}
								if err := os.Chmod(key, before); err != nil {
									t.Fatal(err)
								}
								if list != nil {
									setACL(t, key, accessList, list)
								}
								if defaults {
									setACL(t, dir, "system.posix_acl_default", newACL(7, 5, 4, 7, 0))
									if err := os.Chown(dir, 0, groupOfDir); err != nil {
										t.Fatal(err)
									}
									if err := os.Chmod(dir, 0o755|os.ModeSetgid); err != nil {
										t.Fatal(err)
									}
								}
								allowed := readers(t, key)
								c := renew.Change{Name: plain, New: p, Previous: old}
								fails := []string{"false"}
								switch outcome {
								case "check fails":
									d.Check = fails
								case "reload fails":
									d.Reload = fails
								case "reload fails, another pair in place":
									c.Previous, d.Reload = other, fails
								default:
									allowed = slices.DeleteFunc(allowed, func(who string) bool { return who == "others" || who == fmt.Sprint("group ", groupBefore) })
									if configured == 0o640 && group != "" {
										allowed = append(allowed, "group "+group)
									} else if configured == 0o640 {
										allowed = append(allowed, "group 0")
									}
								}
								if err := d.deploy(t.Context(), []renew.Change{c}); (err == nil) != (outcome == "renewed") {
									t.Fatalf("Deploy = %v", err)
								}
								want := c.Previous
								if outcome == "renewed" {
									want = p
								}
								if text(t, key) != string(want.Key()) {
									t.Error("the key is another")
								}
								for _, who := range readers(t, key) {
									if !slices.Contains(allowed, who) {
										t.Errorf("%s can read the key, allowed are %q", who, allowed)
									}
								}
							})
						}
					}
				}
			}
		}
	}
}
