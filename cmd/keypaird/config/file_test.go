package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	configfile "keypaird/cmd/keypaird/config/file"
	"keypaird/renew"
)

// correct is a configuration without mistakes.
const correct = okCert

// try does something that must work.
func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// writeFile writes a file with a mode, whatever the umask.
func writeFile(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	try(t, os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode))
}

// What is read must be what root or we have written.
func TestUntrustedFiles(t *testing.T) {
	for _, tt := range untrusted {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			try(t, err)
			dir += "/etc"
			file := dir + "/keypaird.toml"
			try(t, os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755))
			tt.make(t, dir, file)
			_, err = loadInTime(t, file)
			if err == nil {
				t.Fatal("loaded")
			}
			names := strings.NewReplacer(file, "FILE", dir, "DIR")
			if got := names.Replace(err.Error()); got != tt.want {
				t.Errorf("error: %s\nwant:  %s", got, tt.want)
			}
			if got := names.Replace(renew.Remedy(err)); got != tt.remedy {
				t.Errorf("remedy: %s\nwant:   %s", got, tt.remedy)
			}
			if _, ok := errors.AsType[*configfile.Error](err); !ok { // check -json prints no other
				t.Errorf("not a configfile.Error: %T", err)
			}
		})
	}
}

var untrusted = []struct {
	name         string
	make         func(t *testing.T, dir, file string) // dir is ours alone
	want, remedy string
}{
	{"missing", func(t *testing.T, dir, file string) {},
		"FILE: no such file or directory", "keypaird init writes one; or name another file with -config or $KEYPAIRD_CONFIG"},
	{"behind a file", func(t *testing.T, dir, file string) {
		try(t, os.Remove(dir))
		writeFile(t, dir, "", 0o644)
	}, "FILE: not a directory", "name the configuration with -config or $KEYPAIRD_CONFIG"},
	{"directory", func(t *testing.T, dir, file string) { try(t, os.Mkdir(file, 0o755)) },
		"FILE: is not a regular file", "see that it is the configuration of keypaird, or name another file with -config or $KEYPAIRD_CONFIG"},
	{"pipe that nobody writes to", func(t *testing.T, dir, file string) { try(t, syscall.Mkfifo(file, 0o644)) },
		"FILE: is not a regular file", "see that it is the configuration of keypaird, or name another file with -config or $KEYPAIRD_CONFIG"},
	{"group can write", func(t *testing.T, dir, file string) { writeFile(t, file, correct, 0o664) },
		"FILE: can be written by others (mode 0664)", "chmod go-w FILE"},
	{"everybody can write", func(t *testing.T, dir, file string) { writeFile(t, file, correct, 0o602) },
		"FILE: can be written by others (mode 0602)", "chmod go-w FILE"},
	{"everybody can replace", func(t *testing.T, dir, file string) {
		writeFile(t, file, correct, 0o600)
		try(t, os.Chmod(dir, 0o777))
	}, "FILE: DIR can be written by everyone (mode 0777)", "chmod go-w DIR"},
	{"group can replace", func(t *testing.T, dir, file string) {
		writeFile(t, file, correct, 0o600)
		try(t, os.Chmod(dir, 0o770))
	}, "FILE: DIR can be written by its group (mode 0770)", "chmod go-w DIR"},
	{"link into a directory where others can replace", func(t *testing.T, dir, file string) {
		try(t, os.Mkdir(dir+"/open", 0o777), os.Chmod(dir+"/open", 0o777), os.Symlink("open/real", file))
		writeFile(t, dir+"/open/real", correct, 0o600)
	}, "FILE: DIR/open can be written by everyone (mode 0777)", "chmod go-w DIR/open"},
	{"link that others can replace", func(t *testing.T, dir, file string) {
		try(t, os.Mkdir(dir+"/open", 0o777), os.Chmod(dir+"/open", 0o777))
		writeFile(t, dir+"/real", correct, 0o600)
		try(t, os.Symlink("../real", dir+"/open/link"), os.Symlink("open/link", file))
	}, "FILE: DIR/open can be written by everyone (mode 0777)", "chmod go-w DIR/open"},
	{"link to nothing", func(t *testing.T, dir, file string) { try(t, os.Symlink("nothing", file)) },
		"FILE: no such file or directory", "keypaird init writes one; or name another file with -config or $KEYPAIRD_CONFIG"},
	{"link to itself", func(t *testing.T, dir, file string) { try(t, os.Symlink("keypaird.toml", file)) },
		"FILE: too many levels of symbolic links", "name the configuration with -config or $KEYPAIRD_CONFIG"},
	{"huge", func(t *testing.T, dir, file string) {
		writeFile(t, file, correct, 0o600)
		try(t, os.Truncate(file, configfile.MaxSize+1))
	}, "FILE: is larger than 16384 KiB", "see that it is the configuration of keypaird, or name another file with -config or $KEYPAIRD_CONFIG"},
}

// loadInTime loads a configuration, and fails if that takes long.
func loadInTime(t *testing.T, file string) (*Config, error) {
	t.Helper()
	type result struct {
		cfg *Config
		err error
	}
	done := make(chan result, 1)
	go func() {
		cfg, err := Load(Options{Path: file, Getenv: noEnv})
		done <- result{cfg, err}
	}()
	select {
	case r := <-done:
		return r.cfg, r.err
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs")
		return nil, nil
	}
}

func TestTrustedFiles(t *testing.T) {
	dir := t.TempDir()
	sticky := filepath.Join(dir, "sticky")
	try(t, os.Chmod(dir, 0o755), os.Mkdir(sticky, 0o777), os.Chmod(sticky, 0o777|os.ModeSticky))
	writeFile(t, dir+"/plain", correct, 0o644)
	writeFile(t, sticky+"/in-tmp", correct, 0o600)
	try(t, os.Symlink("plain", dir+"/link"), os.Symlink(dir+"/link", dir+"/link-to-a-link"), os.Symlink("sticky", dir+"/dir"))
	for _, file := range []string{"plain", "link", "link-to-a-link", "sticky/in-tmp", "dir/in-tmp", "sticky/../plain"} {
		if _, err := Load(Options{Path: filepath.Join(dir, ".") + "/" + file, Getenv: noEnv}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	t.Chdir(dir)
	if _, err := Load(Options{Path: "plain", Getenv: noEnv}); err != nil {
		t.Errorf("by a relative path: %v", err)
	}
	env := func(key string) string { return map[string]string{"KEYPAIRD_CONFIG": dir + "/plain"}[key] }
	if _, err := Load(Options{Path: "", Getenv: env}); err != nil {
		t.Errorf("by $KEYPAIRD_CONFIG: %v", err)
	}
	if _, err := Load(Options{Path: "missing", Getenv: env}); err == nil {
		t.Error("$KEYPAIRD_CONFIG outranks -config")
	}
}

// Only root can make files of others.
func TestFilesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	try(t, err, os.Chmod(dir, 0o755), os.Mkdir(dir+"/etc", 0o755), os.Mkdir(dir+"/theirs", 0o755), os.Mkdir(dir+"/tmp", 0o777))
	writeFile(t, dir+"/etc/ours", correct, 0o600)
	writeFile(t, dir+"/etc/theirs", correct, 0o600)
	writeFile(t, dir+"/theirs/ours", correct, 0o600)
	writeFile(t, dir+"/tmp/ours", correct, 0o600)
	try(t, os.Symlink("../etc/ours", dir+"/etc/link"), os.Chmod(dir+"/tmp", 0o777|os.ModeSticky))
	for _, path := range []string{"/etc/theirs", "/theirs", "/etc/link", "/tmp"} {
		try(t, os.Lchown(dir+path, 54321, -1))
	}
	for _, tt := range []struct{ file, want, remedy string }{
		{"/etc/theirs", "DIR/etc/theirs: belongs to user 54321, neither root nor the user who runs this (0)", "chown 0 DIR/etc/theirs"},
		{"/theirs/ours", "DIR/theirs/ours: DIR/theirs belongs to user 54321, neither root nor the user who runs this (0)", "run this as user 54321 (runuser"},
		{"/tmp/ours", "DIR/tmp/ours: DIR/tmp belongs to user 54321, neither root nor the user who runs this (0)", "run this as user 54321 (runuser"},
		{"/etc/link", "DIR/etc/link: is a symbolic link of user 54321, neither root nor the user who runs this (0)", "remove DIR/etc/link, or name what it stands for"},
	} {
		_, err := Load(Options{Path: dir + tt.file, Getenv: noEnv})
		if err == nil {
			t.Errorf("%s: loaded", tt.file)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != tt.want {
			t.Errorf("%s: %s\nwant: %s", tt.file, got, tt.want)
		}
		if got := strings.ReplaceAll(renew.Remedy(err), dir, "DIR"); !strings.Contains(got, tt.remedy) {
			t.Errorf("%s: remedy %q, want %q", tt.file, got, tt.remedy)
		}
	}
}

const loadAs = "KEYPAIRD_TEST_LOAD_AS"

// What an ordinary user may not read is told as that, not as missing.
func TestUnreadableFile(t *testing.T) {
	if file := os.Getenv(loadAs); file != "" { // we are that user
		_, err := Load(Options{Path: file, Getenv: noEnv})
		fmt.Printf("%v\n%s\n", err, renew.Remedy(err))
		return
	}
	dir, err := os.MkdirTemp("", "keypaird-test-")
	try(t, err)
	defer os.RemoveAll(dir)
	try(t, os.Chmod(dir, 0o755), os.Mkdir(dir+"/closed", 0o700))
	writeFile(t, dir+"/file", correct, 0o000)
	writeFile(t, dir+"/closed/file", correct, 0o644)
	if os.Geteuid() != 0 {
		try(t, os.Chmod(dir+"/closed", 0o000))
		defer os.Chmod(dir+"/closed", 0o700)
	}
	self, err := os.Executable()
	try(t, err)
	self = copyOf(t, self, dir+"/test")
	for _, file := range []string{dir + "/file", dir + "/closed/file"} {
		cmd := exec.Command(self, "-test.run=^TestUnreadableFile$")
		cmd.Dir, cmd.Env = "/", append(os.Environ(), loadAs+"="+file)
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		}
		out, err := cmd.CombinedOutput()
		want := file + ": permission denied\nrun keypaird as root or as the user it belongs to, or let that user read the file and pass through its directories\n"
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%v\n%s\nwant:\n%s", err, out, want)
		}
	}
}

// copyOf copies a program to where everybody can run it.
func copyOf(t *testing.T, from, to string) string {
	t.Helper()
	in, err := os.Open(from)
	try(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	try(t, err)
	_, err = io.Copy(out, in)
	try(t, err, out.Chmod(0o755), out.Close())
	return to
}
