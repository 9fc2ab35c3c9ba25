package syntax

import (
	"strings"

	"keypaird/renew/problem"
)

// A Section holds the values of one section of a file that certbot writes, by key, with
// the lines where they stand.
type Section struct {
	Values map[string][]string
	Lines  map[string]int
}

// Get returns the value of key, or of the last item of a list.
func (s Section) Get(key string) string {
	if list := s.Values[key]; len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// ConfigObj reads a file of Python's ConfigObj: sections by their names, "" for the
// values before the first. What it does not know is refused with its line, as certbot does.
func ConfigObj(data string) (sections map[string]Section, line int, err error) {
	sections = map[string]Section{"": {map[string][]string{}, map[string]int{}}}
	current := sections[""]
	for i, text := range strings.Split(data, "\n") {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		if text[0] == '[' {
			name := strings.Trim(strings.TrimSpace(strings.SplitN(text, "#", 2)[0]), "[] ")
			if _, ok := sections[name]; !ok {
				sections[name] = Section{map[string][]string{}, map[string]int{}}
			}
			current = sections[name]
			continue
		}
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return nil, i + 1, problem.Newf("correct the line", "is neither a section nor KEY = VALUE: %.80q", text)
		}
		values, ok := configValues(strings.TrimSpace(rest))
		if !ok {
			return nil, i + 1, problem.Newf("correct the quotes; certbot passes over this file until then", "has a value that cannot be read: %.80q", text)
		}
		key = strings.Trim(strings.TrimSpace(key), `"'`)
		current.Values[key], current.Lines[key] = values, i+1
	}
	return sections, 0, nil
}

// configValues returns the items of a value.
func configValues(s string) (list []string, ok bool) {
	for {
		s = strings.TrimSpace(s)
		if s == "" || s[0] == '#' {
			return list, true
		}
		item := ""
		if s[0] == '"' || s[0] == '\'' {
			end := strings.IndexByte(s[1:], s[0])
			if end < 0 || strings.HasPrefix(s, `"""`) || strings.HasPrefix(s, "'''") {
				return nil, false
			}
			item, s = s[1:end+1], strings.TrimSpace(s[end+2:])
		} else {
			end := strings.IndexAny(s, ",#")
			if end < 0 {
				end = len(s)
			}
			item, s = strings.TrimSpace(s[:end]), s[end:]
		}
		list = append(list, item)
		switch {
		case s == "" || s[0] == '#':
			return list, true
		case s[0] != ',':
			return nil, false
		}
		s = s[1:]
	}
}
