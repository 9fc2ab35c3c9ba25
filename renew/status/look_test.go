package status

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// colours are those of page.css, light and dark.
func colours(t testing.TB) (light, dark map[string][3]uint8) {
	t.Helper()
	before, after, ok := strings.Cut(pageCSS, "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("no dark colours")
	}
	after, _, _ = strings.Cut(after, "\n}\n")
	read := func(css string) map[string][3]uint8 {
		m := map[string][3]uint8{}
		for _, match := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
			n, err := strconv.ParseUint(match[2], 16, 32)
			must(t, err)
			m[match[1]] = [3]uint8{uint8(n >> 16), uint8(n >> 8), uint8(n)}
		}
		return m
	}
	return read(before), read(after)
}

// contrast is that of WCAG 2.2.
func contrast(a, b [3]uint8) float64 {
	light := func(c [3]uint8) float64 {
		var sum float64
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			v := float64(c[i]) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	la, lb := light(a), light(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func TestContrast(t *testing.T) {
	light, dark := colours(t)
	if len(light) != len(dark) || len(light) < 10 {
		t.Fatalf("%d light colours, %d dark ones", len(light), len(dark))
	}
	for theme, c := range map[string]map[string][3]uint8{"light": light, "dark": dark} {
		for _, ground := range []string{"background", "card"} {
			for _, ink := range []string{"ink", "soft", "good", "busy", "bad", "link"} { // text: 1.4.3
				if got := contrast(c[ink], c[ground]); got < 4.5 {
					t.Errorf("%s: %s on %s: %.2f, want 4.5", theme, ink, ground, got)
				}
			}
		}
		for _, mark := range []string{"over", "window", "due", "now"} { // pictures: 1.4.11
			if got := contrast(c[mark], c["card"]); got < 3 {
				t.Errorf("%s: %s on card: %.2f, want 3", theme, mark, got)
			}
		}
	}
}

// Every mark of a bar is where its instant is.
func TestBar(t *testing.T) {
	begin := now.Add(-25 * aDay)
	at := func(days float64) time.Time { return begin.Add(time.Duration(days * float64(aDay))) }
	due := at(60)
	live := &Certificate{NotBefore: begin, NotAfter: at(100)}
	target := Target{
		Live: live, Due: &due, OverdueAt: at(80),
		Renewal: &Renewal{Start: at(55), End: at(65)},
	}
	for _, tt := range []struct {
		name   string
		change func(*Target)
		want   string
	}{
		{"all of it", func(*Target) {}, "now 25 due 60 overdue 80 window 55+10"},
		{"no window suggested by the CA", func(t *Target) { t.Renewal = nil }, "now 25 due 60 overdue 80"},
		{"a narrow window can be seen", func(t *Target) { t.Renewal = &Renewal{Start: at(50), End: at(50.1)} }, "now 25 due 60 overdue 80 window 50+1.5"},
		{"a window at the very end stays inside", func(t *Target) { t.Renewal = &Renewal{Start: at(100), End: at(130)} }, "now 25 due 60 overdue 80 window 98.5+1.5"},
		{"a window before the beginning", func(t *Target) { t.Renewal = &Renewal{Start: at(-9), End: at(-8)} }, "now 25 due 60 overdue 80 window 0+1.5"},
		{"what is due is another", func(t *Target) { t.Newest = &Certificate{} }, "now 25 overdue 80"},
		{"not in use", func(t *Target) { t.Newest, t.Live = live, nil }, "now 25 due 60 window 55+10"},
		{"expired", func(t *Target) { t.Live = &Certificate{NotBefore: at(-200), NotAfter: at(-100)} }, "now 100 due 100 overdue 100 window 98.5+1.5"},
		{"not valid yet", func(t *Target) { t.Live = &Certificate{NotBefore: at(100), NotAfter: at(200)} }, "now 0 due 0 overdue 0 window 0+1.5"},
		{"of no length", func(t *Target) { t.Live = &Certificate{NotBefore: begin, NotAfter: begin} }, ""},
		{"nothing", func(t *Target) { t.Live = nil }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := target
			tt.change(&target)
			got := ""
			if b := newBar(target, now); b != nil {
				got = fmt.Sprintf("now %v", b.Now)
				if b.Due != nil {
					got += fmt.Sprintf(" due %v", b.Due.Position)
				}
				if b.Overdue != nil {
					got += fmt.Sprintf(" overdue %v", b.Overdue.Position)
				}
				if b.Window != nil {
					got += fmt.Sprintf(" window %.4g+%.4g", b.Window.Position, b.Window.Width)
				}
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
