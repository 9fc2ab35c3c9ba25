package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-acme/lego/v4/acme/api"
	"golang.org/x/sync/errgroup"

	"keypaird/acme/acmetest"
)

// floor is a program: [-stored DIR] DIRECTORY ROOTS PORT NAME..., the bare loop over
// lego's api.Core with sixteen workers, as many as keypaird has. With -stored, what a
// loop has to write that loses nothing in a power failure is written to a directory.
func floor() {
	args, stored := os.Args[1:], ""
	if args[0] == "-stored" {
		stored, args = args[1], args[2:]
	}
	err := func() error {
		port, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		core, err := acmetest.NewCore(&acmetest.CA{Directory: args[0], Roots: args[1]})
		if err != nil {
			return err
		}
		tokens, err := acmetest.StartTokens(port)
		if err != nil {
			return err
		}
		defer tokens.Close()
		if stored == "" {
			return acmetest.Floor(context.Background(), core, tokens, args[3:], 16)
		}
		s, err := newStoredFloor(stored, args[3:])
		if err != nil {
			return err
		}
		return s.run(context.Background(), core, tokens, args[3:], 16)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// A storedFloor is the least that a bare loop has to write in order to lose nothing in a
// power failure, and to hand out the pairs: the files that keypaird writes, each synced
// once, by plain calls, without a check, and never read. Beside [acmetest.Floor] it shows what the
// disk costs, and beside keypaird what keypaird costs.
type storedFloor struct {
	certs, deployed string
}

// newStoredFloor makes directories for names in dir, durably.
func newStoredFloor(dir string, names []string) (*storedFloor, error) {
	s := &storedFloor{filepath.Join(dir, "certs"), filepath.Join(dir, "deployed")}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(s.certs, name), 0o700); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(os.MkdirAll(s.deployed, 0o700), syncPath(s.certs))
}

// run is [acmetest.Floor] with what is stored; while it is, others are ordered.
func (s *storedFloor) run(ctx context.Context, core *api.Core, tokens *acmetest.Tokens, names []string, workers int) error {
	ordering, ctx := errgroup.WithContext(ctx)
	ordering.SetLimit(max(workers, 1))
	storing, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		ordering.Go(func() error {
			chain, key, err := acmetest.ObtainKept(ctx, core, tokens, name, s.order)
			if err == nil {
				storing.Go(func() error { return s.pair(name, chain, key) })
			}
			return err
		})
	}
	return errors.Join(ordering.Wait(), storing.Wait(), s.end())
}

// order keeps an order with its key, before it is finalized: the certificate could not
// be used without.
func (s *storedFloor) order(name, url string, key crypto.Signer) error {
	dir := filepath.Join(s.certs, name)
	text, err := keyPEM(key)
	return errors.Join(err, writeSynced(filepath.Join(dir, "order.json"), append([]byte(url+"\n"), text...)), syncPath(dir))
}

// pair keeps a version with its five files and a record, makes it live, and forgets the order.
func (s *storedFloor) pair(name string, chain []byte, key crypto.Signer) error {
	dir := filepath.Join(s.certs, name)
	tmp := filepath.Join(dir, ".tmp")
	text, err := keyPEM(key)
	err = errors.Join(err, os.Mkdir(tmp, 0o700))
	for file, data := range map[string][]byte{"fullchain": chain, "cert": chain, "chain": chain, "privkey": text, "combined": append(text, chain...)} {
		err = errors.Join(err, writeSynced(filepath.Join(tmp, file+".pem"), data))
	}
	return errors.Join(err, syncPath(tmp), os.Rename(tmp, filepath.Join(dir, "v000001")), syncPath(dir),
		replace(filepath.Join(dir, "record.json"), text), os.Remove(filepath.Join(dir, "order.json")),
		os.Symlink("v000001", filepath.Join(dir, ".live")), os.Rename(filepath.Join(dir, ".live"), filepath.Join(dir, "live")), syncPath(dir),
		replace(filepath.Join(s.deployed, name+".crt"), chain), replace(filepath.Join(s.deployed, name+".key"), text),
		replace(filepath.Join(dir, "record.json"), text))
}

// end makes the names of the deployed files durable.
func (s *storedFloor) end() error { return syncPath(s.deployed) }

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// replace writes a file and its content durably; its name is not.
func replace(path string, data []byte) error {
	return errors.Join(writeSynced(path+".tmp", data), os.Rename(path+".tmp", path))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
