package envelope

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

func TestIdentityFile(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if _, err := Read(state); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(problem.Remedy(err), "keypaird fleet key") {
		t.Errorf("Read without a file: %v (%s)", err, problem.Remedy(err))
	}
	i := generate(t)
	rotated, err := i.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []*Identity{i, rotated} {
		if err := want.Save(state); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(Path(state))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		got, err := Read(state)
		if err != nil || fmt.Sprint(got.Publics()) != fmt.Sprint(want.Publics()) || string(got.Marshal()) != string(want.Marshal()) {
			t.Errorf("Read = %v, %v; want %v", got, err, want)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(Path(state), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(state); err == nil || !strings.Contains(problem.Remedy(err), "chmod 600 ") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(Path(state), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(Path(state)), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(state); err == nil {
		t.Error("a key that others can replace was read")
	}
}

// Nothing that is printed has the private half in it.
func TestIdentityPrinted(t *testing.T) {
	i := generate(t)
	secret := strings.Split(string(i.Marshal()), "\n")[3]
	if !strings.HasPrefix(secret, "AGE-SECRET-KEY-") {
		t.Fatalf("%q", secret)
	}
	for _, format := range []string{"%v", "%+v", "%s"} {
		if got := fmt.Sprintf(format, i); got != i.Public().String() {
			t.Errorf("%s: %q", format, got)
		}
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	good := string(generate(t).Marshal())
	lines := strings.SplitAfter(good, "\n")
	for name, text := range map[string]string{
		"empty": "", "comment": "# no key\n", "truncated": good[:len(good)-20], "one key twice": good + good,
		"three keys": good + string(generate(t).Marshal()) + string(generate(t).Marshal()),
		"lower case": strings.ToLower(good), "NUL": strings.Replace(good, "ed25519-seed:", "ed25519-seed:\x00", 1),
		"no seed": strings.Join(append(lines[:4:4], lines[5:]...), ""), "a digit changed": strings.Replace(good, "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q", 1),
		"public half": generate(t).Public().String(),
	} {
		i, err := parseIdentity([]byte(text))
		if err == nil || problem.Remedy(err) == "" || strings.Contains(err.Error(), "AGE-SECRET-KEY-1") {
			t.Errorf("%s: %v, %v (%s)", name, i, err, problem.Remedy(err))
		}
	}
}

func TestParsePublic(t *testing.T) {
	i := generate(t)
	line := i.Public().String()
	for _, s := range []string{line, "  " + line + "\n", strings.Replace(line, " ", " \t ", 1)} {
		if p, err := ParsePublic(s); err != nil || p != i.Public() {
			t.Errorf("%q: %v, %v", s, p, err)
		}
	}
	half, other := strings.Fields(line), strings.Fields(generate(t).Public().String())
	mid := len(half[1]) / 2
	swapped := half[1][:mid] + string(half[1][mid+1]) + string(half[1][mid]) + half[1][mid+2:]
	for _, tt := range []struct{ name, line, want string }{
		{"empty", "", "is not the public half"},
		{"one part", half[0], "is not the public half"},
		{"three parts", line + " x", "is not the public half"},
		{"as examples have it", "age1... ed25519:...", "is not the public half"},
		{"turned round", half[1] + " " + half[0], "is not the public half"},
		{"age part damaged", half[0][:30] + "q" + half[0][30:] + " " + half[1], "damaged age1"},
		{"age part in part upper case", "age1" + strings.ToUpper(half[0][4:]) + " " + half[1], "damaged age1"},
		{"ed25519 part cut", line[:len(line)-3], "damaged ed25519"},
		{"ed25519 part turned", half[0] + " " + swapped, "is damaged"},
		{"halves of two nodes", half[0] + " " + other[1], "two keys"},
		{"post-quantum", "age1pq1xyz " + half[1], "damaged age1"},
		{"private", strings.ReplaceAll(string(i.Marshal()), "\n", " "), "is the private half"},
		{"10 MB", strings.Repeat("a ", 5<<20), "is not the public half"},
	} {
		p, err := ParsePublic(tt.line)
		if tt.name == "ed25519 part turned" && half[1] == swapped {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || problem.Remedy(err) == "" || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: %v, %v; want %q", tt.name, p, err, tt.want)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	i := generate(f)
	f.Add(i.Marshal())
	f.Add([]byte(i.Public().String()))
	f.Add([]byte("age1 ed25519:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if i, err := parseIdentity(data); err == nil {
			if again, err := parseIdentity(i.Marshal()); err != nil || again.Public() != i.Public() {
				t.Errorf("%q: %v", data, err)
			}
		}
		if p, err := ParsePublic(string(data)); err == nil {
			if again, err := ParsePublic(p.String()); err != nil || again != p {
				t.Errorf("%q: %v, %v", data, again, err)
			}
		}
	})
}

// A node among many looks first where it was the last time, and finds itself at another place, too.
func TestPlaced(t *testing.T) {
	var all []Public
	var identities []*Identity
	for range 20 {
		i, err := Generate()
		testutil.Must(t, err)
		identities, all = append(identities, i), append(all, i.Publics()...)
	}
	last := identities[len(identities)-1]
	for range 3 {
		for _, to := range [][]Public{all, all[10:], slices.Concat(all[10:], all[:10])} {
			sealed, err := Seal([]byte("secret"), to)
			testutil.Must(t, err)
			if plain, err := last.Unseal(sealed); err != nil || string(plain) != "secret" {
				t.Fatalf("%q, %v", plain, err)
			}
			if at, _ := last.places.Load(len(to)); to[at.(int)] != last.Public() {
				t.Errorf("its place among %d is %v", len(to), at)
			}
		}
		sealed, err := Seal([]byte("secret"), all[:10])
		testutil.Must(t, err)
		if _, err := last.Unseal(sealed); err == nil {
			t.Error("opened what is for others")
		}
	}
}

func BenchmarkUnseal(b *testing.B) {
	var all []Public
	var last *Identity
	for range 200 {
		i, err := Generate()
		testutil.Must(b, err)
		last, all = i, append(all, i.Publics()...)
	}
	sealed, err := Seal([]byte("secret"), all)
	testutil.Must(b, err)
	for b.Loop() {
		_, err := last.Unseal(sealed)
		testutil.Must(b, err)
	}
}
