package renew

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/testutil"
)

// A readerOfStore is a deployment without files: its server reads the store.
type readerOfStore struct{ testDeployer }

func (readerOfStore) Paths(string) []string { return nil }

// damagedWorld is a world with a pair of chat that was deployed. It logs to out. lines
// returns what was logged since it was last called.
func damagedWorld(t *testing.T) (w *world, p *Pass, targets []Target, lines func() string) {
	w = newWorld(t)
	var out bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&out, nil))
	targets = w.bind(chat)
	targets[0].Deploy = append(targets[0].Deploy, readerOfStore{testDeployer{world: w, name: "reader"}})
	p = &Pass{Store: w.store, Records: new(Records), Parallel: 4, Log: w.log}
	wantErrors(t, p.Run(t.Context(), targets).Errs)
	out.Reset()
	w.deployed = nil
	return w, p, targets, func() string {
		text := out.String()
		out.Reset()
		return text
	}
}

// An emptied file of the live pair, which servers may read where it is, is put right by the
// next pass, which reloads those that have no files of their own. Nothing is ordered.
func TestStoredFilesDamaged(t *testing.T) {
	w, p, targets, logged := damagedWorld(t)
	dir := w.store.Dir(chat.Name) + "/v000001/"
	for _, file := range []string{"cert.pem", "chain.pem", "combined.pem", "fullchain.pem", "privkey.pem"} {
		w.deployed = nil
		want, err := os.ReadFile(dir + file)
		must(t, err)
		if len(want) == 0 { // without intermediates chain.pem is empty
			must(t, os.Remove(dir+file))
		} else {
			must(t, os.Truncate(dir+file, 0))
		}
		r := p.Run(t.Context(), targets)
		wantErrors(t, r.Errs)
		if got, err := os.ReadFile(dir + file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", file, got, err, want)
		}
		if text := logged(); strings.Count(text, "stored file damaged, repairing") != 1 || !strings.Contains(text, dir+file+" is ") {
			t.Errorf("%s: logged %s", file, text)
		}
		if len(w.obtained) != 1 || len(w.deployed) != 1 || w.deployed[0][0].Dir+"/" != dir || len(r.Done) != 1 || r.Done[0].Action != Deploy {
			t.Errorf("%s: %d orders, %d deployments, done %+v", file, len(w.obtained), len(w.deployed), r.Done)
		}
		if r = p.Run(t.Context(), targets); len(r.Done)+len(r.Errs) > 0 || logged() != "" {
			t.Errorf("%s: the next pass did %+v, %v", file, r.Done, r.Errs)
		}
	}
}

// Another program that changes stored files again and again has no server reloaded every time:
// not at all for a mode, and once a day for the content of a file. All is put right, and what
// is found again is logged once, with a remedy.
func TestStoredFilesRewritten(t *testing.T) {
	hour := 0
	for _, tt := range []struct {
		name    string
		file    string
		damage  func(path string) error
		reloads int // within a day
	}{
		{"mode", "privkey.pem", func(path string) error { return os.Chmod(path, 0o400) }, 0},
		{"content", "combined.pem", func(path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, append(data, "-----BEGIN DH PARAMETERS-----\n"...), 0o600))
		}, 1},
		{"gone", "cert.pem", os.Remove, 1},
	} {
		w, p, targets, logged := damagedWorld(t)
		p.Clock = func() time.Time { return time.Now().Add(time.Duration(hour) * time.Hour) }
		path := w.store.Dir(chat.Name) + "/v000001/" + tt.file
		pass := func(reloads, differs, again int) {
			t.Helper()
			w.deployed = nil
			must(t, tt.damage(path))
			r := p.Run(t.Context(), targets)
			wantErrors(t, r.Errs)
			must(t, func() error { _, err := w.store.Live(chat.Name); return err }())
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 || len(r.Done) != reloads || len(w.deployed) != reloads {
				t.Errorf("%s: %v, %v; done %+v, %d deployments", tt.name, info, err, r.Done, len(w.deployed))
			}
			if text := logged(); strings.Count(text, `msg="stored file damaged, repairing"`) != differs || strings.Count(text, `msg="stored file damaged again, repairing without a reload"`) != again || again > 0 && !strings.Contains(text, "remedy=\"stop the program") {
				t.Errorf("%s: logged %s", tt.name, text)
			}
		}
		pass(tt.reloads, 1, 0)
		pass(0, 0, 1)
		for hour = 20; hour <= 100; hour += 20 {
			pass(0, 0, 0)
		}
		hour += 5
		pass(tt.reloads, 1, 0)
		hour = 0
	}
}

// A mode that is put right does not count where the content is damaged later.
func TestStoredFilesDamagedAfterMode(t *testing.T) {
	w, p, targets, _ := damagedWorld(t)
	path := w.store.Dir(chat.Name) + "/v000001/cert.pem"
	must(t, os.Chmod(path, 0o400))
	p.Run(t.Context(), targets)
	must(t, os.Truncate(path, 0))
	if p.Run(t.Context(), targets); len(w.deployed) != 1 {
		t.Errorf("%d deployments, want 1", len(w.deployed))
	}
}

// That stored files were damaged is a change that a script may have to hear of, although no
// deployment needs it: its server reads the store.
func TestStoredFilesDamagedWithoutDeployment(t *testing.T) {
	w, p, targets, _ := damagedWorld(t)
	targets[0].Deploy = nil
	must(t, os.Truncate(w.store.Dir(chat.Name)+"/v000001/cert.pem", 0))
	r := p.Run(t.Context(), targets)
	if wantErrors(t, r.Errs); len(r.Done) != 1 || r.Done[0].Action != Deploy || r.Done[0].Why != "stored files were damaged" || time.Until(r.Next[chat.Name]) < time.Hour {
		t.Errorf("done %+v, next %v", r.Done, r.Next)
	}
	if r = p.Run(t.Context(), targets); len(r.Done)+len(r.Errs)+len(w.deployed) > 0 {
		t.Errorf("the next pass did %+v, %v", r.Done, r.Errs)
	}
}

// A deployment that reads the store waits for its window. The process may end meanwhile.
func TestStoredFilesDamagedBeforeTheWindow(t *testing.T) {
	w, p, targets, _ := damagedWorld(t)
	p.DeployWindow = func(now time.Time) time.Time { return now.Add(time.Hour) }
	must(t, os.Truncate(w.store.Dir(chat.Name)+"/v000001/cert.pem", 0))
	p.Run(t.Context(), targets)
	if len(w.deployed) > 0 {
		t.Error("deployed before the window")
	}
	again := Pass{Store: w.store, Log: w.log}
	if again.Run(t.Context(), targets); len(w.deployed) != 1 {
		t.Errorf("in it, %d deployments, want 1", len(w.deployed))
	}
}

// A key that is lost for good is reported once by a process, with file and remedy. Another
// pair is ordered when it is missed: at once only if there is no key at all.
func TestStoredKeyLost(t *testing.T) {
	w, p, targets, logged := damagedWorld(t)
	dir := w.store.Dir(chat.Name) + "/v000001/"
	must(t, os.WriteFile(dir+"privkey.pem", []byte("damaged"), 0o600))
	must(t, os.Truncate(dir+"combined.pem", 0))
	p.Run(t.Context(), targets)
	if text := logged(); !strings.Contains(text, `msg="stored files not repaired"`) || !strings.Contains(text, dir+"privkey.pem: private key: ") || !strings.Contains(text, "remedy=\"move "+dir+"privkey.pem out of the way") {
		t.Errorf("logged %s", text)
	}
	p.Run(t.Context(), targets)
	if text := logged(); text != "" || len(w.obtained) != 1 || len(w.deployed) > 0 {
		t.Errorf("then logged %s, and %d orders, %d deployments", text, len(w.obtained), len(w.deployed))
	}
	must(t, os.Truncate(dir+"privkey.pem", 0))
	wantErrors(t, p.Run(t.Context(), targets).Errs)
	newest, err := w.store.Live(chat.Name)
	if must(t, err); newest.ID != "v000002" || len(w.obtained) != 2 || len(w.deployed) != 2 || !strings.Contains(logged(), "/privkey.pem: private key: empty") {
		t.Errorf("with an empty key, %s is live after %d orders and %d deployments", newest.ID, len(w.obtained), len(w.deployed))
	}
}

// A damaged record is reported once, and is then another.
func TestRecordDamaged(t *testing.T) {
	for _, content := range []string{"", "{", "[]"} {
		w, p, targets, logged := damagedWorld(t)
		targets[0].Deploy = nil
		must(t, os.WriteFile(filepath.Join(w.store.Dir(chat.Name), "record.json"), []byte(content), 0o600))
		wantErrors(t, p.Run(t.Context(), targets).Errs)
		if text := logged(); strings.Count(text, `msg="record damaged, starting a new one"`) != 1 || !strings.Contains(text, "record.json") || len(w.obtained) != 1 {
			t.Errorf("%q: %d orders, logged %s", content, len(w.obtained), text)
		}
		again := Pass{Store: w.store, Log: w.log}
		wantErrors(t, again.Run(t.Context(), targets).Errs)
		if text := logged(); text != "" {
			t.Errorf("%q: the next process logged %s", content, text)
		}
	}
}

// A chain that may not be read is no reason to leave the pair: combined.pem has it. What cannot
// be put right is the error of the pass.
func TestStoredChainUnreadable(t *testing.T) {
	const again = "KEYPAIRD_TEST_KEEPS_TO_MODES"
	if os.Geteuid() == 0 && os.Getenv(again) == "" { // root reads every file, unless it gives that up
		cmd := exec.Command(testutil.Program(t, "setpriv"), "--bounding-set=-dac_override,-dac_read_search", os.Args[0], "-test.run=^TestStoredChainUnreadable$", "-test.v")
		cmd.Env = append(os.Environ(), again+"=true")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestStoredChainUnreadable") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	w, p, targets, logged := damagedWorld(t)
	dir := w.store.Dir(chat.Name) + "/v000001/"
	must(t, os.Chmod(dir+"fullchain.pem", 0))
	wantErrors(t, p.Run(t.Context(), targets).Errs)
	if text := logged(); !strings.Contains(text, "fullchain.pem cannot be read: permission denied") || len(w.obtained) != 1 || len(w.deployed) != 1 {
		t.Errorf("%d orders, %d deployments, logged %s", len(w.obtained), len(w.deployed), text)
	}
	must(t, os.Chmod(dir+"fullchain.pem", 0))
	must(t, os.Truncate(dir+"combined.pem", 0))
	r := p.Run(t.Context(), targets)
	if text := logged(); len(r.Errs) != 1 || !strings.Contains(r.Errs[0].Error(), "fullchain.pem: permission denied") || text != "" {
		t.Errorf("%v, logged %s", r.Errs, text)
	}
}

// A look by status, which has no lock, changes nothing.
func TestLookRepairsNothing(t *testing.T) {
	w, _, targets, _ := damagedWorld(t)
	file := w.store.Dir(chat.Name) + "/v000001/combined.pem"
	must(t, os.Truncate(file, 0))
	s, err := LoadState(w.store, targets[0])
	if info, e := os.Stat(file); errors.Join(err, e) != nil || info.Size() > 0 || s.Fingerprint == "" || s.Version != "v000001" {
		t.Errorf("%v, %v, %v", s.Version, err, info)
	}
	if _, err := w.store.Newest(chat.Name); !keypair.None(err) {
		t.Errorf("the pair: %v", err)
	}
}
