package status

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/status/nodes"
	"keypaird/renew/testutil"
)

var screenshots = flag.String("screenshots", "", "keep the pictures of the page in this `directory`")

// visit is how long a browser has for a page; on a busy machine it takes a minute to
// start.
const visit = 4 * time.Minute

// browse has a real browser do something and returns what it prints, and what it
// complains of. It reaches nothing but our address, and leaves nothing behind.
func browse(t *testing.T, args ...string) (out, complaints string) {
	t.Helper()
	path, home := testutil.Program(t, "chromium"), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), visit)
	defer cancel()
	c := exec.CommandContext(ctx, path, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr", "--user-data-dir=" + home,
	}, args...)...)
	c.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	c.Stderr = &said
	printed, err := c.Output()
	if err != nil {
		t.Fatalf("chromium %q: %v\n%s", args, err, said.Bytes())
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, ":CONSOLE") {
			complaints += line
		}
	}
	return string(printed), complaints
}

// calmly is browse where there is nothing to complain of.
func calmly(t *testing.T, args ...string) string {
	t.Helper()
	out, complaints := browse(t, args...)
	if complaints != "" {
		t.Errorf("the browser complains: %s", complaints)
	}
	return out
}

// photograph returns what the page looks like in a window of a size.
func photograph(t *testing.T, url, name string, width, height int, more ...string) image.Image {
	t.Helper()
	dir := *screenshots
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, name+".png")
	calmly(t, append(more, "--screenshot="+path, fmt.Sprintf("--window-size=%d,%d", width, height), url)...)
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	picture, err := png.Decode(f)
	must(t, err)
	if got := picture.Bounds(); got.Dx() != width || got.Dy() != height {
		t.Errorf("%s: the picture is %v, want %d by %d", name, got, width, height)
	}
	return picture
}

// points counts the points of each colour.
func points(picture image.Image) map[[3]uint8]int {
	m := map[[3]uint8]int{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			r, g, b, _ := picture.At(x, y).RGBA()
			m[[3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}]++
		}
	}
	return m
}

// only is a document with some targets of doc.
func only(doc Document, names ...string) Document {
	out := doc
	out.Targets = nil
	for _, name := range names {
		for _, t := range doc.Targets {
			if t.Name == name {
				out.Targets = append(out.Targets, t)
			}
		}
	}
	return out
}

// The page as people see it, on a phone and on a desk, by day and by night:
// the style applies, and every mark of the bars is there.
func TestScreenshots(t *testing.T) {
	doc := newDesk(t).document()
	light, dark := colours(t)
	few := only(doc, "expired", "advised", "not-served")
	for _, tt := range []struct {
		name          string
		doc           Document
		width, height int
		colours       map[string][3]uint8
		marks         []string
		more          []string
	}{
		{"phone", few, 390, 844, light, []string{"background", "card", "bad", "track", "late", "over", "due", "now"}, nil},
		{"phone-night", few, 390, 844, dark, []string{"background", "card", "bad", "track", "late", "over", "due", "now"}, []string{"--force-dark-mode"}},
		{"phone-all", doc, 390, 12000, light, []string{"good", "busy", "bad", "track", "late", "over", "due", "now", "window"}, nil},
		{"desk", only(doc, "expired", "not-served", "advised", "incident", "*.served.example"), 1280, 2600, light, []string{"background", "card", "good", "bad", "track", "late", "over", "due", "now", "window"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(serving(tt.doc))
			defer srv.Close()
			seen := points(photograph(t, srv.URL, tt.name, tt.width, tt.height, tt.more...))
			if len(seen) < 50 {
				t.Errorf("%d colours: is the page empty?", len(seen))
			}
			for _, mark := range tt.marks {
				if seen[tt.colours[mark]] < 20 {
					t.Errorf("%d points of the colour %q", seen[tt.colours[mark]], mark)
				}
			}
			if background := seen[tt.colours["background"]] + seen[tt.colours["card"]]; background < tt.width*tt.height/2 {
				t.Errorf("%d points are empty, of %d: are these the colours of the page?", background, tt.width*tt.height)
			}
		})
	}
}

// A page without a browser's help: what is there once scripts could have run is
// what we sent, and scripts may not run.
func TestWithoutScripts(t *testing.T) {
	doc := newDesk(t).document()
	s := serving(doc)
	srv := httptest.NewServer(s)
	defer srv.Close()
	shown := parse(t, calmly(t, "--dump-dom", srv.URL))
	if got, want := text(shown), text(parse(t, get(t, s, "/"))); got != want {
		t.Errorf("the browser shows\n%s\nof\n%s", got, want)
	}
	for _, policy := range []bool{true, false} {
		injected := httptest.NewServer(changed(s, policy, func(page string) string {
			return strings.Replace(page, "</body>", `<script>document.title = "owned"</script></body>`, 1)
		}))
		out, complaints := browse(t, "--dump-dom", injected.URL)
		injected.Close()
		owned := text(all(parse(t, out), "title")[0]) == "owned"
		if refused := strings.Contains(complaints, "Executing inline script violates"); owned == policy || refused != policy {
			t.Errorf("a script that got onto a page with the policy %t ran: %t; %s", policy, owned, complaints)
		}
	}
}

// changed serves the page of s, changed, with its policy or without.
func changed(s site, policy bool, change func(page string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/favicon.ico" {
			return
		}
		sent := ask(s, http.MethodGet, "/")
		if policy {
			w.Header().Set("Content-Security-Policy", sent.Header().Get("Content-Security-Policy"))
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, change(sent.Body.String()))
	})
}

// longest is a document whose every text is as long as it may be.
func longest(doc Document) Document {
	label := strings.Repeat("a", 63)
	name := strings.Join([]string{label, label, label, strings.Repeat("b", 61)}, ".")
	doc.Fleet = fleetOfThree()
	doc.Fleet.Node, doc.Fleet.Seat, doc.Fleet.Error, doc.Fleet.Remedy = name, name, strings.Repeat("e", 1000), strings.Repeat("r", 1000)
	for i := range doc.Fleet.Nodes {
		doc.Fleet.Nodes[i].Name, doc.Fleet.Nodes[i].Version = name, strings.Repeat("v", 1000)
	}
	for i := range doc.Fleet.Targets {
		r := &doc.Fleet.Targets[i]
		r.Name, r.Missing = name, []nodes.Missing{{Node: name, Failures: 1 << 30, Error: strings.Repeat("e", 1000)}}
	}
	for i := range doc.Targets {
		target := &doc.Targets[i]
		target.Name, target.Names = name, append(target.Names, Name{name, "dns-persist-01"})
		target.SignWith = append(target.SignWith, label, label)
		if target.Live != nil {
			target.Live.Issuer, target.Live.Dir = strings.Repeat("C", 200), "/"+strings.Repeat(label+"/", 6)
		}
		for j := range target.Deployments {
			d := &target.Deployments[j]
			d.Name = label
			d.Endpoints = append(d.Endpoints, Endpoint{Endpoint: "xmpp-server:[2001:db8:1234:5678:9abc:def0:1234:5678]:5269", State: NotServed}, Endpoint{Endpoint: name + ":443", State: Verified})
			d.Failure = &Failure{Failures: 1 << 30, At: now, Next: now.Add(aDay), Error: strings.Repeat("e", 4000), Remedy: "https://" + strings.Repeat("r", 500)}
		}
	}
	return doc
}

// frame shows a page in a window of a width, as browsers on a desk have no windows
// so narrow as a phone.
const frame = `<iframe data-src="/%d" width="%d" height="800" style="border: 0"></iframe>`

// frames says of the page in each frame, in a paragraph, how wide it is and what
// sticks out.
const frames = `<!DOCTYPE html><title>frames</title>%s<script>
document.querySelectorAll("iframe").forEach(function (f) { f.addEventListener("load", function () {
	var page = this.contentDocument, root = page.documentElement, out = [];
	page.querySelectorAll("body *").forEach(function (e) {
		var r = e.getBoundingClientRect();
		if (e.closest("svg") === null && (r.right > root.clientWidth + 0.5 || r.left < -0.5)) out.push(e.tagName + "." + e.className);
	});
	var said = document.createElement("p");
	said.textContent = page.querySelectorAll("h3").length + " targets, " + root.scrollWidth + " of " + root.clientWidth + ": " + out.slice(0, 10).join(" ");
	f.after(said);
}); f.src = f.dataset.src; });
</script>`

// Nobody has to scroll sideways, on no phone, however long names and errors are.
func TestNoSidewaysScrolling(t *testing.T) {
	usual, long := newDesk(t).document(), longest(newDesk(t).document())
	usual.Fleet = fleetOfThree()
	views := []struct {
		name  string
		doc   Document
		width int
	}{{"small phone", usual, 320}, {"phone", usual, 390}, {"small phone, long names", long, 320}, {"desk, long names", long, 1280}}
	mux, shown := http.NewServeMux(), ""
	for i, v := range views {
		mux.Handle(fmt.Sprint("/", i), changed(serving(v.doc), false, func(page string) string {
			return strings.ReplaceAll(page, "<details ", "<details open ")
		}))
		shown += fmt.Sprintf(frame, i, v.width)
	}
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, frames, shown) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	said := all(parse(t, calmly(t, "--dump-dom", srv.URL)), "p")
	if len(said) != len(views) {
		t.Fatalf("%d of %d frames were seen", len(said), len(views))
	}
	for i, v := range views {
		if got, want := text(said[i]), fmt.Sprintf("%d targets, %d of %d:", len(v.doc.Targets), v.width, v.width); strings.TrimSpace(got) != want {
			t.Errorf("%s: %s, want %s", v.name, got, want)
		}
	}
}

// A page of a thousand targets is shown whole, and in time.
func TestThousandInBrowser(t *testing.T) {
	doc := newDesk(t).document()
	var many Document
	many.Time = doc.Time
	for i := range 1000 {
		target := doc.Targets[i%len(doc.Targets)]
		target.Name = fmt.Sprintf("%s-%d", target.Name, i)
		many.Targets = append(many.Targets, target)
	}
	srv := httptest.NewServer(serving(many))
	defer srv.Close()
	out := calmly(t, "--dump-dom", srv.URL)
	root := parse(t, out)
	if n := len(all(root, "h3")); n != 1000 || !regexp.MustCompile(`^action required for \d+ of 1000 certificates`).MatchString(text(all(root, "title")[0])) {
		t.Errorf("%d targets, title %q", n, text(all(root, "title")[0]))
	}
}
