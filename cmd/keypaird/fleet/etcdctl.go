package fleet

import (
	"fmt"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet/document"
)

// readable is what every node reads.
var readable = []document.Kind{document.KindFleet, document.KindSeat, document.KindLive, document.KindPair, document.KindToken, document.KindNode}

// etcdctlCommands returns the commands that make users and roles in etcd: nodes in order may read
// and write all of the fleet, the others read what they deploy and write only about
// themselves.
func etcdctlCommands(f config.Fleet) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	role := roleOf(f)
	grant := func(role, right, key string) {
		line("etcdctl role grant-permission %s --prefix=true %s %s%s", role, right, f.Prefix, key)
	}
	b.WriteString(asRoot(f, "Commands for users and roles that exist already fail, without harm."))
	line("")
	line("# Nodes in order: all of the fleet.")
	line("etcdctl role add %s-order", role)
	grant(role+"-order", "readwrite", "")
	line("")
	line("# Every other node: what it deploys.")
	line("etcdctl role add %s-node", role)
	for _, kind := range readable {
		grant(role+"-node", "read", kind.Prefix())
	}
	if user := sharedUser(f); user != "" {
		line("")
		line("etcdctl user add %s   # of all nodes; asks for the password that %s holds", user, f.PasswordFile)
		line("etcdctl user grant-role %s %s-order", user, role)
	}
	for _, node := range f.Nodes.Names() {
		if sharedUser(f) != "" {
			break
		}
		line("")
		if f.PasswordFile != "" {
			line("etcdctl user add %s   # asks for the password that %s holds there", node, f.PasswordFile)
		} else {
			line("etcdctl user add %s --no-password   # known by its certificate, with the common name %s", node, node)
		}
		if slices.Contains(f.Order, node) {
			line("etcdctl user grant-role %s %s-order", node, role)
			continue
		}
		line("etcdctl user grant-role %s %s-node", node, role)
		line("etcdctl role add %s-%s", role, node)
		grant(role+"-"+node, "readwrite", document.NodePrefix(node))
		grant(role+"-"+node, "readwrite", document.AskPrefix(node))
		line("etcdctl user grant-role %s %s-%s", node, role, node)
	}
	line("")
	line("# Only once, for the whole engine: from then on nobody has rights without a user.")
	line("etcdctl user add root --no-password; etcdctl user grant-role root root")
	line("etcdctl auth enable")
	return b.String()
}

// sharedUser returns the user in etcd that the configuration names for all nodes; "": each
// has its own, called as the node.
func sharedUser(f config.Fleet) string {
	if f.PasswordFile != "" && f.User != f.Node {
		return f.User
	}
	return ""
}

// etcdctlRemove returns the commands that take a node's rights in etcd; "" if the engine has
// no users.
func etcdctlRemove(f config.Fleet, node string) string {
	if user := sharedUser(f); user != "" {
		return asRoot(f, "Until then, "+node+" has the rights of all nodes in the engine: they share the user "+user+". Put the new password into "+f.PasswordFile+" on those that are left.") +
			"etcdctl user passwd " + user + "\n"
	}
	if f.TLS.Cert == "" && f.PasswordFile == "" {
		return ""
	}
	return asRoot(f, "Until then, "+node+" has the rights in the engine that it had. Commands for a user or a role that does not exist fail, without harm.") +
		fmt.Sprintf("etcdctl user delete %s\netcdctl role delete %s-%s\n", node, roleOf(f), node)
}

// roleOf returns the beginning of the names of the fleet's roles.
func roleOf(f config.Fleet) string {
	return strings.ReplaceAll(strings.Trim(f.Prefix, "/"), "/", "-")
}

// asRoot returns the first lines of a script of etcdctl commands; more ends its comment.
func asRoot(f config.Fleet, more string) string {
	text := "# Run these with the rights of root in etcd. " + more + "\nexport ETCDCTL_API=3 ETCDCTL_ENDPOINTS=" + strings.Join(f.Engine, ",") + "\n"
	if f.TLS.CA != "" {
		text += "export ETCDCTL_CACERT=" + f.TLS.CA + "   # and ETCDCTL_CERT, ETCDCTL_KEY of a certificate with the name root\n"
	}
	return text
}
