package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/testutil"
)

// secrets are private keys in all forms in which they may be somewhere.
type secrets struct {
	first [1 << 16]bool // two bytes with which a form begins
	forms map[[8]byte][]secretForm
	keys  map[string]bool // of which there are forms
}

type secretForm struct{ name, text string }

func newSecrets() *secrets {
	return &secrets{forms: map[[8]byte][]secretForm{}, keys: map[string]bool{}}
}

func (s *secrets) form(name, text string) {
	if len(text) < 16 {
		return
	}
	start := [8]byte([]byte(text[:8]))
	if f := (secretForm{name, text}); !slices.Contains(s.forms[start], f) {
		s.first[binary.BigEndian.Uint16(start[:])] = true
		s.forms[start] = append(s.forms[start], f)
	}
}

// encoded adds the forms of bytes that are part of something in base64.
func (s *secrets) encoded(name string, data []byte) {
	for shift := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), data...))
		text = text[(shift*8+5)/6 : len(text)-1] // characters of these bytes alone
		s.form(name+", in base64", text)
		s.form(name+", in base64 for URLs", strings.NewReplacer("+", "-", "/", "_").Replace(text))
	}
}

// add adds a key of some bytes: of its number or its seed.
func (s *secrets) add(name string, key []byte) {
	s.keys[string(key)] = true
	s.form(name, string(key))
	reversed := slices.Clone(key)
	slices.Reverse(reversed)
	s.form(name+", as words", string(reversed))
	s.form(name+", in hex", hex.EncodeToString(key))
	s.form(name+", in HEX", strings.ToUpper(hex.EncodeToString(key)))
	s.encoded(name, key)
}

// addLines adds the lines of a text that is as secret as a key.
func (s *secrets) addLines(name, text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && !strings.HasPrefix(line, "#") {
			s.form(name+", a line", line)
			s.encoded(name+", a line", []byte(line))
		}
	}
}

var privatePEM = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`)

// addFile adds the keys in a file.
func (s *secrets) addFile(t *testing.T, path string, data []byte) {
	text := strings.ReplaceAll(string(data), `\n`, "\n") // as in JSON
	for _, found := range privatePEM.FindAllString(text, -1) {
		block, _ := pem.Decode([]byte(found + "\n"))
		if block == nil {
			t.Fatalf("%s: no PEM: %s", path, found)
		}
		var key any
		var err error
		if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
			key, err = x509.ParseECPrivateKey(block.Bytes)
		}
		try(t, err)
		private, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			t.Fatalf("%s: a key of the type %T", path, key)
		}
		number, err := private.Bytes()
		try(t, err)
		s.add(path, number)
		s.form(path+", DER", string(block.Bytes))
		s.addLines(path, found)
	}
	if filepath.Base(path) == "node.key" {
		s.addLines(path, string(data))
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if seed, ok := strings.CutPrefix(line, "ed25519-seed:"); ok {
				key, err := base64.RawStdEncoding.DecodeString(seed)
				try(t, err)
				s.add(path, key)
			} else if strings.HasPrefix(line, "AGE-SECRET-KEY-1") {
				s.add(path, bech32(line[len("AGE-SECRET-KEY-1"):]))
			}
		}
	}
}

// bech32 decodes the 32 bytes of an age identity.
func bech32(text string) (key []byte) {
	bits, n := uint(0), 0
	for _, c := range strings.ToLower(text[:len(text)-6]) {
		bits, n = bits<<5|uint(strings.IndexRune("qpzry9x8gf2tvdw0s3jn54khce6mua7l", c)), n+5
		if n >= 8 {
			key = append(key, byte(bits>>(n-8)))
			n -= 8
		}
	}
	return key
}

// addState adds the keys in a state directory, and returns how many files hold some.
func (s *secrets) addState(t *testing.T, dir string) (files int) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		before := len(s.keys)
		s.addFile(t, path, data)
		if len(s.keys) > before {
			files++
		}
		return err
	})
	try(t, err)
	return files
}

// in returns the forms that are in data.
func (s *secrets) in(data []byte) (found []string) {
	for i := 0; i+8 <= len(data); i++ {
		if !s.first[uint16(data[i])<<8|uint16(data[i+1])] {
			continue
		}
		for _, f := range s.forms[[8]byte(data[i:i+8])] {
			if bytes.HasPrefix(data[i:], []byte(f.text)) && !slices.Contains(found, f.name) {
				found = append(found, f.name)
			}
		}
	}
	return found
}

// inMemory returns the forms that are in the memory of a process, and its size.
func (s *secrets) inMemory(t *testing.T, pid int) (found []string, size int) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	try(t, err)
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	try(t, err)
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || rights[:2] != "rw" || to-from > 1<<30 {
			continue // a key is where something can be written
		}
		data := make([]byte, to-from)
		n, err := mem.ReadAt(data, from)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EFAULT) {
			t.Fatalf("memory of %d: %v", pid, err)
		}
		size += n
		found = append(found, s.in(data[:n])...)
	}
	return found, size
}

// processes returns those of a node that have a name.
func (n *fleetNode) processes(name string) (pids []int) {
	for _, pid := range family(n.cmd.Process.Pid) {
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.TrimSpace(string(comm)) == name {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A secretsTest looks for keys.
type secretsTest struct {
	*testFleet
	secrets *secrets
	dumped  int // bytes of memory
}

// collect adds all keys that the nodes have now.
func (s *secretsTest) collect() {
	for _, n := range s.nodes {
		s.secrets.addState(s.T, n.file("state"))
	}
}

// children looks into the memory of each keypaird-fleet.
func (s *secretsTest) children() {
	for _, n := range s.nodes {
		pids := n.processes("keypaird-fleet")
		if len(pids) != 1 {
			s.Errorf("%s has %d processes keypaird-fleet", n.name, len(pids))
		}
		for _, pid := range pids {
			found, size := s.secrets.inMemory(s.T, pid)
			s.dumped += size
			for _, name := range found {
				s.Errorf("in the memory of keypaird-fleet of %s: %s", n.name, name)
			}
		}
	}
}

// stored looks into all that the engine has, and into all logs.
func (s *secretsTest) stored() (size int) {
	look := func(where string, data []byte) {
		size += len(data)
		for _, name := range s.secrets.in(data) {
			s.Errorf("in %s: %s", where, name)
		}
	}
	for _, m := range s.engine.Members {
		dir, log := m.Data()
		kinds := map[string]bool{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			kinds[filepath.Base(filepath.Dir(path))+filepath.Ext(path)] = true
			look(path, data)
			return err
		})
		try(s.T, err)
		if !kinds["wal.wal"] || !kinds["snap"] {
			s.Errorf("the engine has no log or no database: %v", kinds)
		}
		data, err := os.ReadFile(log)
		try(s.T, err)
		look(log, data)
	}
	data, err := os.ReadFile(s.engine.Backup())
	try(s.T, err)
	look("a snapshot", data)
	for _, n := range s.nodes {
		look("the log of "+n.name, []byte(n.log.String()))
	}
	return size
}

// controls shows that keys are found where they are.
func (s *secretsTest) controls() {
	first := s.nodes[0]
	data, err := os.ReadFile(first.file("state", "fleet", "node.key"))
	try(s.T, err)
	if len(s.secrets.in(data)) < 2 {
		s.Error("the key of a node is not found in its own file")
	}
	var inMemory []string
	for _, pid := range first.processes("keypaird") {
		found, _ := s.secrets.inMemory(s.T, pid)
		inMemory = append(inMemory, found...)
	}
	if len(inMemory) == 0 {
		s.Errorf("no key is found in the memory of keypaird, of %d processes", len(first.processes("keypaird")))
	}
	own := newSecrets()
	data, err = os.ReadFile(first.file("engine.key"))
	try(s.T, err)
	own.addFile(s.T, "engine.key", data)
	if found, _ := own.inMemory(s.T, first.processes("keypaird-fleet")[0]); len(found) == 0 {
		s.Error("the key of keypaird-fleet's own certificate is not found in its memory")
	}
}

// get returns a value of the engine.
func (f *testFleet) get(key string) string {
	f.Helper()
	return f.engine.Ctl("get", "--print-value-only", etcdtest.Prefix+key)
}

func (f *testFleet) put(key, value string) {
	f.Helper()
	f.engine.Ctl("put", etcdtest.Prefix+key, value)
}

// identity returns the key of a node, as a thief of its disk would have it.
func (n *fleetNode) identity() *envelope.Identity {
	i, err := envelope.Read(n.file("state"))
	try(n.fleet.T, err)
	return i
}

// members returns the public halves, which are in everybody's configuration.
func (f *testFleet) members() envelope.Members {
	m := envelope.Members{}
	for _, n := range f.nodes {
		p, err := envelope.ParsePublic(strings.Trim(n.line, `"`))
		try(f.T, err)
		m[n.name] = []envelope.Public{p}
	}
	return m
}

// forged returns a value for a key that says it is from a node.
func (f *testFleet) forged(by string, i *envelope.Identity, key string, serial uint64, body any, sealed []byte) string {
	data, err := json.Marshal(body)
	try(f.T, err)
	id := testutil.Text(f.T, f.nodes[0].file("state", "fleet", "id"))
	value, err := i.Sign(envelope.Message{
		Header: envelope.Header{Fleet: strings.TrimSpace(id), Key: key, Serial: serial, By: by, At: time.Now().UTC()}, Body: data, Sealed: sealed,
	})
	try(f.T, err)
	return string(value)
}

// open returns the message that the engine has at a key.
func (f *testFleet) open(key string) envelope.Message {
	f.Helper()
	m, err := f.members().Open([]byte(f.get(key)), "", key, nil)
	try(f.T, err)
	return m
}

func (f *testFleet) release(target string) document.Release {
	f.Helper()
	r, err := document.Parse[document.Release](f.open(document.LiveKey(target)).Body)
	try(f.T, err)
	return r
}

// says waits until the log of a node has all of some words, in one line that is not among
// the first.
func (n *fleetNode) says(after int, words ...string) {
	n.fleet.Helper()
	if err := testutil.Within(30*time.Second, func() error {
		for line := range strings.Lines(n.log.String()[after:]) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return nil
			}
		}
		return fmt.Errorf("%s does not say %q", n.name, words)
	}); err != nil {
		n.fleet.Error(err)
	}
}

// newSecretsTest starts a fleet whose nodes have the rights that fleet init prints.
func newSecretsTest(t *testing.T) *secretsTest {
	s := &secretsTest{makeFleet(t, etcdtest.Options{Users: true}, []string{"mx1", "mx2"}, "mx1", "mx2", "web"), newSecrets(), 0}
	for _, n := range s.nodes {
		n.join()
	}
	s.configure()
	commands, _, _ := strings.Cut(s.nodes[0].must("fleet", "init", "-print-etcdctl"), "# Only once") // there are users already
	for line := range strings.Lines(commands) {
		line, _, _ = strings.Cut(line, "#")
		if args, ok := strings.CutPrefix(line, "etcdctl "); ok {
			s.engine.Ctl(strings.Fields(args)...)
		}
	}
	s.nodes[0].must("fleet", "init")
	for _, n := range s.nodes {
		n.start()
	}
	return s
}

// No byte of a private key leaves the nodes: it is not in the engine's database, log and
// snapshot, in no log, and not in the memory of keypaird-fleet, also during an order. An
// administrator of the engine makes no node take a token, a release or a pair.
func TestFleetSecrets(t *testing.T) {
	if !onMachines(t) {
		return
	}
	s := newSecretsTest(t)
	pairs := s.agree(60*time.Second, nil, s.nodes...)
	s.issued(2)
	s.collect()
	if len(s.secrets.keys) < 2+1+2*3 {
		t.Errorf("there are only %d keys", len(s.secrets.keys))
	}
	s.children()
	before := s.get(document.LiveKey("plain"))

	t.Log("during an order")
	known, looked := len(s.secrets.keys), make(chan struct{})
	s.ca.at("finalize", false, func() {
		s.collect()
		s.children()
		close(looked)
	})
	s.change(s.nodes...)
	<-looked
	if len(s.secrets.keys) == known {
		t.Error("an order under way has no key")
	}
	pairs = s.agree(90*time.Second, pairs, s.nodes...)
	s.issued(2)
	s.collect()
	s.children()
	s.controls()
	s.rights()
	s.forgeries(pairs, before)
	s.removed()
	s.collect()
	s.children()
	t.Logf("%d keys: looked for in %d MB of memory and in %d MB of files", len(s.secrets.keys), s.dumped>>20, s.stored()>>20)
}

// rights tries, with the rights of a node that does not order, what it may not do.
func (s *secretsTest) rights() {
	var seat struct{ Kvs []struct{ Lease int64 } }
	try(s.T, json.Unmarshal([]byte(s.engine.Ctl("get", etcdtest.Prefix+document.SeatKey, "-w", "json")), &seat))
	for _, args := range [][]string{
		{"get", "--prefix", etcdtest.Prefix + "orders/"}, {"get", "--prefix", etcdtest.Prefix + "accounts/"}, {"get", "--prefix", etcdtest.Prefix},
		{"put", etcdtest.Prefix + "live/plain", "x"}, {"put", etcdtest.Prefix + "tokens/x", "x"}, {"put", etcdtest.Prefix + document.SeatKey, "x"},
		{"put", etcdtest.Prefix + "nodes/mx1/report", "x"}, {"del", "--prefix", etcdtest.Prefix + "pairs/"},
		{"lease", "revoke", strconv.FormatInt(seat.Kvs[0].Lease, 16)},
	} {
		if out, err := s.engine.CtlAs("web", args...); err == nil || !strings.Contains(out, "permission denied") {
			s.Errorf("web may %q: %v, %s", args, err, out)
		}
	}
	if out, err := s.engine.CtlAs("web", "get", etcdtest.Prefix+"live/plain"); err != nil || !strings.Contains(out, "payload") {
		s.Errorf("web may not read a release: %v, %s", err, out)
	}
}

// answered returns what a node answers for a token.
func (n *fleetNode) answered(token string) string {
	r, err := http.Get("http://" + n.addr + "/.well-known/acme-challenge/" + token)
	try(n.fleet.T, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	try(n.fleet.T, err)
	if r.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// forgeries has an administrator of the engine write what no node wrote.
func (s *secretsTest) forgeries(pairs map[string]string, before string) {
	s.Helper()
	mx1, web := s.nodes[0], s.nodes[2]
	stranger, err := envelope.Generate()
	try(s.T, err)
	token, thumbprint := strings.Repeat("f", 43), strings.Repeat("k", 43)
	key, body := document.TokenKey(token), document.Token{KeyAuthorization: token + "." + thumbprint}
	for _, tt := range []struct {
		what   string
		value  string
		served bool
	}{
		{"of a stranger", s.forged("mx1", stranger, key, 0, body, nil), false},
		{"of a node that does not order", s.forged("web", web.identity(), key, 0, body, nil), false},
		{"for another token", s.forged("mx1", mx1.identity(), document.TokenKey(strings.Repeat("e", 43)), 0, body, nil), false},
		{"of a node that orders", s.forged("mx1", mx1.identity(), key, 0, body, nil), true}, // so that the others show something
	} {
		after := len(web.log.String())
		s.put(key, tt.value)
		if !tt.served {
			web.says(after, "token of the fleet not served", token)
		}
		if served := web.answered(token) == body.KeyAuthorization; served != tt.served {
			s.Errorf("a token %s: served %v", tt.what, served)
		}
	}
	s.engine.Ctl("del", etcdtest.Prefix+key)

	r := s.release("plain")
	genuineRelease := s.get(document.LiveKey("plain"))
	next := r
	next.Serial, next.All, next.Nodes = r.Serial+5, true, nil
	after := len(web.log.String())
	for _, value := range []string{
		s.forged("mx1", stranger, document.LiveKey("plain"), next.Serial, next, nil),
		s.forged("web", web.identity(), document.LiveKey("plain"), next.Serial, next, nil),
		s.get(document.LiveKey("host")),
	} {
		s.put(document.LiveKey("plain"), value)
	}
	for _, why := range []string{"is signed by no node", "may only come from", "was written for another key"} {
		web.says(after, "value ignored", "live/plain", why)
	}
	s.put(document.LiveKey("plain"), genuineRelease)

	s.Log("an older release, which was signed")
	after = len(web.log.String())
	s.put(document.LiveKey("plain"), before)
	web.says(after, "engine has an older release", "plain")
	try(s.T, testutil.Within(30*time.Second, func() error {
		if now := s.release("plain"); now.Serial < r.Serial || now.Fingerprint != r.Fingerprint {
			return fmt.Errorf("the engine has release %d", now.Serial)
		}
		return nil
	}))

	s.Log("a pair")
	r = s.release("plain")
	pairKey := document.PairKey("plain", r.Version)
	genuine := s.get(pairKey)
	forged, err := pairtest.Issue([]string{"example.org", "*.example.org"}, time.Now(), 90*24*time.Hour)
	try(s.T, err)
	var all []envelope.Public
	for _, p := range s.members() {
		all = append(all, p...)
	}
	sealed, err := envelope.Seal(forged.Key(), all)
	try(s.T, err)
	web.stop(syscall.SIGTERM)
	try(s.T, os.RemoveAll(web.file("state", "certs", "plain"))) // so that it has to fetch it
	for _, tt := range []struct {
		by   string
		with *envelope.Identity
		why  string
	}{
		{"mx1", stranger, "is signed by no node"},
		{"web", web.identity(), "may only come from"},
		{"mx1", mx1.identity(), "is not the one that it names"}, // the release has another fingerprint
	} {
		s.put(pairKey, s.forged(tt.by, tt.with, pairKey, 0, document.Pair{Chain: string(forged.FullChain())}, sealed))
		after = len(web.log.String())
		web.start()
		web.says(after, "taking its certificate from the fleet", tt.why)
		web.stop(syscall.SIGTERM)
	}
	s.put(pairKey, genuine)
	web.start()
	web.says(after, "deployed", "certs=plain")
	for _, n := range s.nodes {
		for target, pair := range pairs {
			if n.deployed(target) != pair {
				s.Errorf("%s has another pair of %s", n.name, target)
			}
		}
	}
	s.issued(0)
}

// removed takes a node out of the fleet. The node keeps its rights in the engine.
func (s *secretsTest) removed() {
	s.Helper()
	mx1, mx2, web := s.nodes[0], s.nodes[1], s.nodes[2]
	thief := web.identity()
	opens := func() (keys []string) {
		for _, kind := range []document.Kind{document.KindPair, document.KindOrder, document.KindRecord, document.KindAccount} {
			list := s.engine.Ctl("get", "--prefix", "--keys-only", etcdtest.Prefix+kind.Prefix())
			for _, key := range strings.Fields(list) {
				key = strings.TrimPrefix(key, etcdtest.Prefix)
				if m := s.open(key); m.Sealed != nil {
					if _, err := thief.Unseal(m.Sealed); err == nil {
						keys = append(keys, key)
					}
				}
			}
		}
		return keys
	}
	if keys := opens(); len(keys) == 0 || slices.ContainsFunc(keys, func(key string) bool { return !strings.HasPrefix(key, "pairs/") }) {
		s.Errorf("web opens %q", keys)
	}
	line := web.line
	web.line = ""
	mx1.configure()
	mx2.configure()
	for _, n := range []*fleetNode{mx1, mx2} {
		try(s.T, n.cmd.Process.Signal(syscall.SIGHUP))
	}
	web.line = line
	try(s.T, testutil.Within(60*time.Second, func() error {
		if keys := opens(); len(keys) > 0 {
			return fmt.Errorf("a removed node opens %q", keys)
		}
		return nil
	}))
	had := web.deployed("plain")
	if out := mx2.must("issue", "-force", "plain"); !strings.Contains(out, "plain: issued by") {
		s.Errorf("%q", out)
	}
	s.issued(1)
	s.deployedOn("plain", 60*time.Second, func(is string) bool { return is != had }, mx1, mx2)
	if keys := opens(); len(keys) > 0 {
		s.Errorf("a removed node opens %q", keys)
	}
	after := len(web.log.String())
	web.restart()
	web.says(after, "taking its certificate from the fleet", "is not sealed to this node")
	if web.deployed("plain") != had {
		s.Error("a removed node has deployed another pair")
	}
}
