package servers

import (
	"fmt"
	"maps"
	"strings"
)

// beside is the story of a server that takes every certificate in a directory:
// old pairs are left there, as people do. Which of several for one name is
// served is up to the server; whatever it does, a person is told of the files.
func (r *rig) beside() {
	r.t.Helper()
	var files []string
	for i := range 9 {
		files = append(files, r.copyOf(plain, fmt.Sprintf("%c-old-%d", "az"[i%2], i))...)
	}
	before := maps.Clone(r.live)
	said, _ := r.exit("issue", "-force")
	if !strings.Contains(said, "keypaird: warning: ") || !strings.Contains(said, "a-old-0") {
		r.t.Errorf("no warning of the files:\n%s", said)
	}
	r.look()
	if r.live[host] == before[host] {
		r.t.Errorf("%s has nothing new:\n%s", host, said)
	}
	r.sees("beside old ones")
	if r.live[plain] == before[plain] { // the old ones are served
		for _, want := range []string{"is for the same name", "remedy: ", "remove "} {
			if !strings.Contains(said, want) {
				r.t.Errorf("%q is not said:\n%s", want, said)
			}
		}
	}
	r.t.Logf("beside old ones: %v", r.live[plain] != before[plain])
	r.remove(files...)
	r.exit("issue") // finishes what they were in the way of, if they were
	r.deployed("without them")
	r.renew("without them")
}

// copyOf puts the pair of a target beside those of the targets, readable as
// they are.
func (r *rig) copyOf(target, name string) (files []string) {
	r.t.Helper()
	p := r.server.Deployment
	for _, template := range []string{p.Chain, p.Key, p.Combined} {
		if template == "" {
			continue
		}
		from, to := strings.ReplaceAll(template, "{name}", target), strings.ReplaceAll(template, "{name}", name)
		must(r.t, "cp", "-p", from, to)
		files = append(files, to)
	}
	return files
}
