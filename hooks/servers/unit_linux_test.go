package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A unit is what a package tells the service manager of its server.
type unit struct {
	name     string
	settings map[string][]string
	mainPID  string // file with the id of its first process
}

// readUnit reads the unit of a package.
func readUnit(t *testing.T, name string) unit {
	t.Helper()
	u := unit{name: name, settings: map[string][]string{}}
	for line := range strings.Lines(read(t, "/lib/systemd/system/"+name+".service")) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			u.settings[key] = append(u.settings[key], strings.ReplaceAll(value, "%i", "-"))
		}
	}
	if u.mainPID = u.setting("PIDFile"); !u.forks() {
		u.mainPID = "/run/" + name + ".main.pid"
	}
	return u
}

// initUnit is the unit that systemd makes of a package's init script.
func initUnit(name, mainPID string) unit {
	return unit{name, map[string][]string{"Type": {"forking"}, "ExecStart": {"/etc/init.d/" + name + " start"}}, mainPID}
}

// setting is the first value of a setting, or "".
func (u unit) setting(key string) string {
	return strings.Join(u.settings[key][:min(len(u.settings[key]), 1)], "")
}

// forks tells whether the command that starts the server returns.
func (u unit) forks() bool { return u.setting("Type") == "forking" }

// script writes the commands of a setting as a script, to be run by the unit's
// user with its environment, and returns its path.
func (u unit) script(t *testing.T, key string) string {
	t.Helper()
	body := "set -e\ncd /" + strings.TrimPrefix(u.setting("WorkingDirectory"), "/") + "\n"
	for _, assignments := range u.settings["Environment"] {
		body += "export " + assignments + "\n"
	}
	for i, command := range u.settings[key] {
		if i == len(u.settings[key])-1 {
			command = "exec " + command
		}
		body += command + "\n"
	}
	path := filepath.Join(ours, u.name+"."+key)
	script(t, path, body)
	if user := u.setting("User"); user != "" {
		capabilities := ""
		if c := u.setting("AmbientCapabilities"); c != "" {
			c = "+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
			capabilities = "--inh-caps=" + c + " --ambient-caps=" + c
		}
		script(t, path+".root", fmt.Sprintf("HOME=$(getent passwd %s | cut -d: -f6) exec setpriv --reuid=%[1]s --regid=%s --init-groups %s %s\n",
			user, u.setting("Group"), capabilities, path))
		path += ".root"
	}
	return path
}

// directory is a line of tmpfiles.d(5) for a directory.
var directory = regexp.MustCompile(`(?m)^d (\S+) (\S+) (\S+) (\S+)`)

// prepare makes what has to be there after a boot, and puts a stand-in for
// systemctl in place, for this unit and those prepared before. What the unit's
// commands say goes into the journal, and systemctl says where to look. The file
// broken.NAME has them fail, deaf.NAME has a reload do nothing.
func (u unit) prepare(t *testing.T) {
	t.Helper()
	if dir := u.setting("RuntimeDirectory"); dir != "" {
		must(t, "install", "-d", "-o", u.setting("User"), "-g", u.setting("Group"), "/run/"+dir)
	}
	tmpfiles, _ := os.ReadFile("/usr/lib/tmpfiles.d/" + u.name + ".conf")
	for _, d := range directory.FindAllStringSubmatch(string(tmpfiles), -1) {
		must(t, "install", "-d", "-m", d[2], "-o", d[3], "-g", d[4], d[1])
	}
	script(t, "/usr/local/sbin/systemctl", "for unit; do :; done\n[ ! -x /mnt/systemctl.$unit ] || exec /mnt/systemctl.$unit \"$@\"\n"+
		"echo \"systemctl $*: not known\" >&2\nexit 1\n")
	script(t, filepath.Join(ours, "systemctl."+u.name), fmt.Sprintf(`# systemctl for one service, as far as presets use it.
export MAINPID=$(cat %[2]s 2>/dev/null)
active() {
	[ -n "$MAINPID" ] && kill -0 $MAINPID 2>/dev/null || { echo "%[1]s.service is not active, cannot reload." >&2; exit 1; }
}
job() {
	[ ! -e /mnt/broken.%[1]s ] && "$1" >>/mnt/journal 2>&1 && exit
	echo "Job for %[1]s.service failed because the control process exited with error code." >&2
	echo "See \"systemctl status %[1]s.service\" and \"journalctl -xeu %[1]s.service\" for details." >&2
	exit 1
}
case "$*" in
"reload %[1]s") active; [ -e /mnt/deaf.%[1]s ] || job %[3]s ;;
"kill -s "*" %[1]s") active; exec kill -s $3 $MAINPID ;;
"restart %[1]s")
	while pkill -x %[1]s; do sleep 0.1; done
	job %[4]s ;;
esac
echo "systemctl $*: not known" >&2
exit 1
`, u.name, u.mainPID, u.script(t, "ExecReload"), u.script(t, "ExecStart")))
}

// start starts the server, and returns what ends it; nil if it forks.
func (u unit) start(t *testing.T) *process {
	t.Helper()
	if len(u.settings["ExecStartPre"]) > 0 {
		must(t, u.script(t, "ExecStartPre"))
	}
	if u.forks() {
		must(t, u.script(t, "ExecStart"))
		return nil
	}
	cmd := exec.Command(u.script(t, "ExecStart"))
	cmd.Env = environment()
	p := background(t, u.name, cmd)
	write(t, u.mainPID, fmt.Sprintln(p.cmd.Process.Pid))
	return p
}
