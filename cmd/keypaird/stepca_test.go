package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"keypaird/acme/acmetest"
	"keypaird/hooks/verify/testca"
	"keypaird/renew/testutil"
)

// A stepCA is step-ca by Smallstep as a process of its own. It asks port 80 of a name
// and, like any program, the resolver of the system: so it needs a world of its own.
type stepCA struct {
	dir  string // its configuration, keys and database; STEPPATH
	args []string
	log  *os.File
	cmd  *exec.Cmd // nil while it is stopped
}

const (
	stepAddr  = "127.0.0.1:9000"
	stepLife  = 5 * time.Minute // of a certificate; the least that step-ca has by default
	staleAddr = "127.0.0.7:53"  // of a resolver with old records
)

// stepca starts step-ca as the CA of the story.
func (s *story) stepca(_ bool, args []string) {
	if !s.own {
		s.Fatalf("stepca: say: need own")
	}
	if len(args) == 1 && args[0] == "stop" {
		s.step.stop()
		return
	}
	if len(args) == 1 && args[0] == "start" {
		s.Check(s.step.start())
		return
	}
	f := flag.NewFlagSet("stepca", flag.ContinueOnError)
	eab := f.String("eab", "", "ask for the external account `ID=KEY`")
	due := f.Duration("due", 0, "give certificates of five minutes that are due after so long")
	stale := f.Bool("stale", false, "ask a resolver that has old records")
	s.Check(f.Parse(args))
	s.Check(s.startStepCA(*eab, *due))
	if *stale {
		s.Check(s.startStale())
		s.step.args = append([]string{"--resolver", staleAddr}, s.step.args...)
	}
	s.Check(s.step.start())
	s.publish()
}

// startStepCA makes all that step-ca needs and tells the story where it is.
func (w *world) startStepCA(eab string, due time.Duration) error {
	c := &stepCA{dir: w.file("step"), args: []string{w.file("step", "ca.json")}}
	ca, err := testca.New("Step")
	if err != nil {
		return err
	}
	provisioner := map[string]any{"type": "ACME", "name": "test"}
	backdate := time.Minute
	if due > 0 {
		provisioner["claims"] = map[string]any{"defaultTLSCertDuration": stepLife.String()}
		backdate = stepLife - 2*due // due at half its life
	}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return err
	}
	if id, key, ok := strings.Cut(eab, "="); ok {
		provisioner["requireEAB"] = true
		db, err := stepDatabase(id, key)
		if err == nil {
			err = os.WriteFile(w.file("step", "db"), db, 0o600)
		}
		if err != nil {
			return err
		}
	}
	conf, err := json.Marshal(map[string]any{
		"root": w.file("step", "root.pem"), "crt": w.file("step", "crt.pem"), "key": w.file("step", "key.pem"),
		"address": stepAddr, "dnsNames": []string{"127.0.0.1"},
		"logger":    map[string]any{"format": "text"},
		"db":        map[string]any{"type": "bbolt", "dataSource": w.file("step", "db")},
		"authority": map[string]any{"backdate": backdate.String(), "provisioners": []any{provisioner}},
	})
	if err != nil {
		return err
	}
	root := []byte(pemOf(ca.Root))
	err = errors.Join(
		os.WriteFile(w.file("step", "root.pem"), root, 0o644), os.WriteFile(w.file("step", "ca.json"), conf, 0o600),
		writePair(w.file("step", "crt.pem"), w.file("step", "key.pem"), "", ca.Key, ca.Intermediate), w.trustRoots(root))
	if err != nil {
		return err
	}
	if c.log, err = os.Create(w.file("step-ca.log")); err != nil {
		return err
	}
	w.later(func() {
		c.stop()
		c.log.Close()
	})
	w.step, w.signer = c, "step"
	w.vars["CA"], w.vars["CA_ROOTS"] = "https://"+stepAddr+"/acme/test/directory", w.file("step", "root.pem")
	return nil
}

// start starts the process, with what it had stored if it ran before.
func (c *stepCA) start() error {
	c.cmd = exec.Command("step-ca", c.args...)
	c.cmd.Env = []string{"HOME=" + c.dir, "STEPPATH=" + c.dir} // no proxy of ours
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		return err
	}
	return testutil.Within(patience, func() error { return dial(stepAddr) })
}

// stop ends the process at once.
func (c *stepCA) stop() {
	if c.cmd != nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		c.cmd = nil
	}
}

// startStale starts a resolver that has a challenge record of another day.
func (w *world) startStale() error {
	old, err := acmetest.StartDNS(acmetest.DNSOptions{
		Addr: staleAddr, Zones: []string{"example.org"}, Records: []string{
			`_acme-challenge.example.org. 1 IN TXT "of yesterday"`,
			"away.example.org. 1 IN A 127.0.0.9", "other.example.org. 1 IN A 127.0.0.10", "shut.example.org. 1 IN A 127.0.0.11",
		},
	})
	if err == nil {
		w.later(func() { old.Close() })
	}
	return err
}

// stepOrders fails unless step-ca has had so many orders, and finalized so many.
func (s *story) stepOrders(args []string) {
	log, err := os.ReadFile(s.step.log.Name())
	s.Check(err)
	placed, finalized := 0, 0
	for line := range bytes.Lines(log) {
		switch {
		case bytes.Contains(line, []byte("/new-order ")) && bytes.Contains(line, []byte(" status=201 ")):
			placed++
		case bytes.Contains(line, []byte("/finalize ")) && bytes.Contains(line, []byte(" status=200 ")):
			finalized++
		}
	}
	if got := strconv.Itoa(placed) + " " + strconv.Itoa(finalized); got != strings.Join(args, " ") {
		s.Fatalf("orders placed and finalized: %s, want %s", got, strings.Join(args, " "))
	}
}

// stepDatabase is a database of step-ca with the key of an external account. The
// program has no way to make one: only the service of its maker has.
func stepDatabase(id, hmac string) ([]byte, error) {
	key, err := base64.RawURLEncoding.DecodeString(hmac)
	if err != nil {
		return nil, fmt.Errorf("the external account's key: %w", err)
	}
	row, err := json.Marshal(struct { // as step-ca writes it, which compares it with its own
		ID            string    `json:"id"`
		ProvisionerID string    `json:"provisionerID"`
		Reference     string    `json:"reference"`
		HmacKey       []byte    `json:"key"`
		CreatedAt     time.Time `json:"createdAt"`
		BoundAt       time.Time `json:"boundAt"`
	}{ID: id, HmacKey: key, CreatedAt: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	return boltFile("acme_external_account_keys", id, row), nil
}

// boltFile is a file of bbolt with one bucket, which has one key. It consists of
// two pages that describe it, a list of free pages, and a page with the bucket in it.
func boltFile(bucket, key string, value []byte) []byte {
	const size, metaPage, freePage, isBucket = 4096, 4, 16, 1
	to := binary.NativeEndian
	fill := func(page []byte) []byte { return append(page, make([]byte, size-len(page))...) }
	var file []byte
	for n := range uint64(2) {
		var meta []byte
		for _, v := range []uint32{0xed0cdaed, 2, size, 0} { // magic number, version of the format
			meta = to.AppendUint32(meta, v)
		}
		for _, v := range []uint64{3, 0, 2, 4, n} { // page of the bucket, its sequence, page of the list, pages, transaction
			meta = to.AppendUint64(meta, v)
		}
		sum := fnv.New64a()
		sum.Write(meta)
		file = append(file, fill(to.AppendUint64(append(boltPage(n, metaPage, 0), meta...), sum.Sum64()))...)
	}
	file = append(file, fill(boltPage(2, freePage, 0))...)
	inside := append(make([]byte, 16), boltLeaf(0, 0, key, value)...) // of a bucket without a page of its own
	return append(file, fill(boltLeaf(3, isBucket, bucket, inside))...)
}

// boltPage is the head of a page.
func boltPage(id uint64, kind, keys uint16) []byte {
	to := binary.NativeEndian
	return to.AppendUint32(to.AppendUint16(to.AppendUint16(to.AppendUint64(nil, id), kind), keys), 0)
}

// boltLeaf is a page with one key.
func boltLeaf(id uint64, flags uint32, key string, value []byte) []byte {
	const leafPage, headSize = 2, 16
	page := boltPage(id, leafPage, 1)
	for _, v := range []uint32{flags, headSize, uint32(len(key)), uint32(len(value))} {
		page = binary.NativeEndian.AppendUint32(page, v)
	}
	return append(append(page, key...), value...)
}
