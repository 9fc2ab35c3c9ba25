package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"

	"keypaird/cmd/keypaird/schedule"
)

// Whatever a file holds: keypaird lives, each unknown key is named, lines are
// lines of the file, and no message can write to a terminal.
func FuzzLoadConfig(f *testing.F) {
	for _, rows := range [][]mistaken{topMistakes, unknownMistakes, tablesMistakes, targetsMistakes, deployMistakes, externalMistakes, tlsaMistakes, fleetMistakes, syntaxMistakes} {
		for _, row := range rows {
			f.Add(row.text)
		}
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		cfg, mistakes := Options{}.parse("keypaird.toml", text, 0o644, defaults(noEnv, "linux"))
		last := 1 + strings.Count(text, "\n")
		told := map[string]bool{}
		for _, m := range mistakes {
			told[m.Key] = true
			if m.Line < 0 || m.Line > last || m.Problem == "" || m.Remedy == "" {
				t.Errorf("%q: %+v", text, m)
			}
			if strings.ContainsFunc(m.String()+m.Remedy, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Errorf("%q: %q, %q", text, m.String(), m.Remedy)
			}
		}
		if len(mistakes) == 0 && len(cfg.Targets()) == 0 {
			t.Errorf("%q: neither targets nor mistakes", text)
		}
		var values map[string]any
		if _, err := toml.Decode(strings.TrimPrefix(text, byteOrderMark), &values); err != nil {
			if len(mistakes) != 1 {
				t.Errorf("%q: %v, but %v", text, err, mistakes)
			}
			return
		}
		for _, p := range unknownKeys(nil, values, reflect.TypeFor[Config]()) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(told)), func(key string) bool {
				return key == p.String() || strings.HasPrefix(key, p.String()+".") || strings.HasPrefix(p.String(), key+".")
			}) {
				t.Errorf("%q: nothing is said of %v; only %v", text, p, mistakes)
			}
		}
	})
}

// unknownKeys finds the keys that a type has no fields for, by other means than
// decode's.
func unknownKeys(p path, table map[string]any, t reflect.Type) []path {
	var unknown []path
	for key, value := range table {
		var inner reflect.Type
		switch t.Kind() {
		case reflect.Map:
			inner = t.Elem()
		case reflect.Struct:
			for i := range t.NumField() {
				if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); tag == key {
					inner = t.Field(i).Type
				}
			}
		}
		if inner == nil {
			unknown = append(unknown, p.child(key))
		} else if sub, ok := value.(map[string]any); ok && (inner.Kind() == reflect.Map || inner.Kind() == reflect.Struct) && inner != reflect.TypeFor[Duration]() {
			unknown = append(unknown, unknownKeys(p.child(key), sub, inner)...)
		}
	}
	return unknown
}

// Schedules and windows that are taken go on for ever, and what is refused is
// refused with a reason: nothing that stands there stops or starves the daemon.
func FuzzSchedule(f *testing.F) {
	for _, seed := range []string{
		"@every 30m", "* 3 * * *", "TZ=UTC", "TZ=UTC ", "TZ= * * * * *", "CRON_TZ=Europe/Berlin 1 2 3 4 5", "@daily", "*/0 * * * *",
		"1-5/2,7 * * JAN-DEC MON", "0 0 31 2 *", "@every 1ns", "@every 999999h", "? ? ? ? ?", ", * * * *", "* * , * ,", "TZ=UTC @every 1s",
		"TZ=America/Sao_Paulo 0 0 1 * *", "TZ=Australia/Lord_Howe 0 2 * * *", "TZ=../UTC 0 0 * * *", "5/9223372036854775807 * * * *", "0 0 29 2 1", "0 0 29 2 *",
	} {
		f.Add(seed)
	}
	start := time.Date(2026, 11, 23, 1, 2, 3, 4, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		c := &checker{document: &document{file: "f", text: ""}, cfg: &Config{Schedule: spec, Window: spec}}
		c.checkSchedules()
		refused := map[string]bool{}
		for _, m := range c.mistakes {
			refused[m.Key] = true
			if m.Remedy == "" || strings.ContainsFunc(m.Problem+m.Remedy, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q: %+v", spec, m)
			}
		}
		if !refused["schedule"] {
			table, err := schedule.New(spec, 30*time.Second)
			if err != nil {
				t.Fatalf("%q: taken, and then: %v", spec, err)
			}
			for at, i := start, 0; i < 20 && at.Year() < 2090; i++ { // after 2096 the 29th of February is missing once
				next := table.Next(at)
				if next.Sub(at) <= 0 || next.Sub(at) > 9*366*24*time.Hour {
					t.Fatalf("%q: after %v comes %v", spec, at, next)
				}
				at = next
			}
		}
		if spec != "" && !refused["window"] {
			o, err := schedule.NewWindow(spec)
			if err != nil {
				t.Fatalf("%q: taken, and then: %v", spec, err)
			}
			if at := o.Next(start); !at.IsZero() && (!at.After(start) || !o.Next(at).IsZero()) {
				t.Fatalf("%q: opens at %v, and then %v", spec, at, o.Next(at))
			}
		}
	})
}
