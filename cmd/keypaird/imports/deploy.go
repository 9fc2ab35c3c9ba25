package imports

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"keypaird/cmd/keypaird/imports/trees"
	"keypaird/hooks/probe"
)

// A deploy is a [deploy] table, for all targets with files as it describes.
type deploy struct {
	name               string
	place              trees.Place // with {name} for the target's name
	owner, group       string
	chainMode, keyMode string
	verify             []string // where the server was seen with it
}

// See looks where servers on this machine serve the pairs of deployments, so that these are
// verified there: at the ports of web servers, since those of other servers may read new
// files by themselves, later.
func (p *Plan) See(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, t := range p.targets {
		for _, at := range []probe.Endpoint{{Proto: "tls", Host: "127.0.0.1", Port: 443}, {Proto: "tls", Host: "127.0.0.1", Port: 8448}} {
			name := strings.Replace(t.Certificate.Names()[0], "*.", "any.", 1)
			chain, err := probe.Dial(ctx, at, name)
			if err != nil || t.Pair == nil || !chain[0].Equal(t.Pair.Leaf) {
				continue
			}
			where := net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port)))
			for _, d := range t.deploys {
				if (d.place.Reload != nil || d.place.Preset != "") && !slices.Contains(d.verify, where) {
					d.verify = append(d.verify, where)
				}
			}
		}
	}
}

// setDeploys finds the [deploy] tables of a target, or adds them.
func (p *Plan) setDeploys(t *target) {
	for _, place := range t.Places {
		if place.Key != "" && place.Key == place.Chain {
			place.Combined, place.Key, place.Chain = place.Key, "", ""
		}
		if wrong := unfit(place); wrong != "" {
			p.Tree.Faults = append(p.Tree.Faults, trees.Note{
				Subject: t.Name, File: wrong, Text: "cannot be written by a deployment", Remedy: "have the other client use an absolute path without braces, or leave it out: -skip " + t.Name,
			})
			continue
		}
		d := &deploy{place: place.Expand(func(path string) string { return template(path, t.name) })}
		p.setAccess(d, t, place)
		i := slices.IndexFunc(p.deploys, func(known *deploy) bool { return known.equal(d) })
		if i >= 0 {
			t.deploys = append(t.deploys, p.deploys[i])
			continue
		}
		d.name = unique(tableName(p.Tree.Client), func(name string) bool {
			return slices.ContainsFunc(p.deploys, func(d *deploy) bool { return d.name == name })
		})
		if place.Reload == nil && place.Preset == "" {
			p.note("[deploy."+d.name+"]", "set reload and verify there, as keypaird deploy -list shows for your server",
				"no command is known that makes the server read a new pair: it would go on with the old one")
		}
		p.deploys, t.deploys = append(p.deploys, d), append(t.deploys, d)
	}
}

// unfit returns a file that a [deploy] table cannot name, or "".
func unfit(place trees.Place) string {
	for _, path := range place.Files() {
		if path != "" && (!filepath.IsAbs(path) || filepath.Clean(path) != path || !utf8.ValidString(path) ||
			strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f || c == '{' || c == '}' })) {
			return path
		}
	}
	return ""
}

func (d *deploy) equal(o *deploy) bool {
	return d.place.Files() == o.place.Files() && d.place.Preset == o.place.Preset && slices.Equal(d.place.Reload, o.place.Reload) &&
		d.owner == o.owner && d.group == o.group && d.chainMode == o.chainMode && d.keyMode == o.keyMode
}

// template returns path with {name} for the target's name, where that stands in its last
// directory or in the name of the file.
func template(path, name string) string {
	if path == "" {
		return ""
	}
	dir, base := filepath.Split(path)
	parent, last := filepath.Split(strings.TrimSuffix(dir, "/"))
	replace := func(part string) string {
		if part == name || strings.HasPrefix(part, name+".") || strings.HasPrefix(part, name+"_") {
			return "{name}" + strings.TrimPrefix(part, name)
		}
		return part
	}
	return filepath.Join(parent, replace(last), replace(base))
}

// setAccess takes owner and modes of the files in place.
func (p *Plan) setAccess(d *deploy, t *target, place trees.Place) {
	for _, f := range []struct {
		path string
		key  bool
	}{{place.Key, true}, {place.Combined, true}, {place.Chain, false}, {place.Leaf, false}} {
		info, err := os.Stat(f.path)
		if f.path == "" || err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && d.owner == "" && (st.Uid != uint32(os.Geteuid()) || st.Gid != uint32(os.Getegid())) {
			d.owner, d.group = userName(st.Uid), groupName(st.Gid)
		}
		mode := info.Mode().Perm()&^0o133 | 0o400
		if f.key && d.keyMode == "" {
			if d.keyMode = fmt.Sprintf("%04o", mode&^0o007); mode&0o007 != 0 {
				p.note(t.name, "give the server's group rights by group and key_mode if it needs them", "every user may read the private key in %s (mode %04o): keypaird writes it with %s", f.path, info.Mode().Perm(), d.keyMode)
			}
		} else if !f.key && d.chainMode == "" {
			d.chainMode = fmt.Sprintf("%04o", mode)
		}
	}
	if d.keyMode == "0600" {
		d.keyMode = "" // the default
	}
	if d.chainMode == "0644" {
		d.chainMode = ""
	}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
