package hooks

import (
	"runtime"
)

// Presets returns the names that Preset knows.
func Presets() []string { return []string{"haproxy", "nginx", "relayd"} }

// Preset returns the deployment called name, as it is usual on this system,
// and whether there is one. Verify is left to the caller: it depends on where
// the server listens.
func Preset(name string) (Deployment, bool) { return preset(name, runtime.GOOS) }

// preset is Preset for any system.
func preset(name, goos string) (Deployment, bool) {
	switch name {
	case "relayd":
		// relayd finds files by name and opens them as root. Regular files,
		// not links into the store: links have been reported not to work.
		return Deployment{
			Name:  name,
			Chain: "/etc/ssl/{name}.crt", Key: "/etc/ssl/private/{name}.key",
			Owner: "root", Group: rootGroup(goos), ChainMode: 0o644, KeyMode: 0o600,
			Check: []string{"relayd", "-n"}, Reload: reload("relayd", goos),
		}, true
	case "nginx":
		// The master process reads the store as root, so there is nothing to
		// write. It is its own messenger on every system.
		return Deployment{
			Name:  name,
			Check: []string{"nginx", "-t"}, Reload: []string{"nginx", "-s", "reload"},
		}, true
	case "haproxy":
		return Deployment{
			Name:     name,
			Combined: "/etc/haproxy/certs/{name}.pem",
			Owner:    "root", Group: rootGroup(goos), KeyMode: 0o600,
			Check:  []string{"haproxy", "-c", "-f", haproxyConfig(goos)},
			Reload: reload("haproxy", goos),
		}, true
	}
	return Deployment{}, false
}

// rootGroup is the name of group 0.
func rootGroup(goos string) string {
	if goos == "linux" {
		return "root"
	}
	return "wheel"
}

// reload asks the usual service manager of a system to reload a service. macOS
// has none that can: there, reload has to be configured.
func reload(service, goos string) []string {
	switch goos {
	case "openbsd":
		return []string{"rcctl", "reload", service}
	case "freebsd", "netbsd":
		return []string{"service", service, "reload"}
	case "linux":
		return []string{"systemctl", "reload", service}
	}
	return nil
}

// haproxyConfig is where the packages of a system keep haproxy's configuration.
func haproxyConfig(goos string) string {
	switch goos {
	case "freebsd":
		return "/usr/local/etc/haproxy.conf"
	case "netbsd":
		return "/usr/pkg/etc/haproxy.cfg"
	}
	return "/etc/haproxy/haproxy.cfg"
}
