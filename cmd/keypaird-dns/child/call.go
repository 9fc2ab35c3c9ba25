package child

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

var errHangs = errors.New("the provider does not come back")

// call runs a provider's function. Providers know no context, so the wait ends
// with ctx and leaves the function running. A panic is an error.
func (s *server) call(ctx context.Context, f func() error) error {
	if ctx.Err() != nil {
		return errHangs
	}
	done := make(chan error, 1)
	go func() {
		err := errors.New("the provider ended its goroutine")
		defer func() {
			switch v := recover().(type) {
			case nil:
			case fatal:
				err = errors.New(string(v))
			default:
				s.log.Printf("panic: %v at %s", v, frames())
				err = fmt.Errorf("the provider panicked: %v", v)
			}
			done <- err
		}()
		err = f()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errHangs
	}
}

// frames names the functions of a panic, the innermost first.
func frames() string {
	pcs := make([]uintptr, 16)
	list := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	var at []string
	for {
		f, more := list.Next()
		at = append(at, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more || len(at) == 8 {
			return strings.Join(at, ", ")
		}
	}
}

// withdraw removes one record, within a time limit.
func (s *server) withdraw(ctx context.Context, rec *record) error {
	ctx, cancel := context.WithTimeout(ctx, cleanUpLimit)
	defer cancel()
	if err := s.call(ctx, func() error { return s.remove(ctx, rec) }); err != nil {
		return err
	}
	s.forget(rec)
	return nil
}

// remove lets the provider clean up where the record was published, wherever the
// challenge name leads by now.
func (s *server) remove(ctx context.Context, rec *record) error {
	if rec.fqdn == "" {
		fqdn, err := s.follow(ctx, rec.domain)
		if err != nil {
			return err
		}
		rec.fqdn = fqdn
	}
	if err := s.lead(ctx, rec.domain, rec.fqdn); err != nil {
		return err
	}
	return s.provider.CleanUp(rec.domain, rec.token, rec.keyAuth)
}

// cleanUpAll removes all records that are still published.
func (s *server) cleanUpAll(ctx context.Context) error {
	var left []string
	for _, rec := range slices.Clone(s.published) {
		err := s.withdraw(ctx, rec)
		switch {
		case err == nil:
			s.log.Printf("cleaned up %s", rec.fqdn)
		case rec.uncertain:
			s.log.Printf("cleaning up %s, which may not exist: %v", rec.fqdn, err)
		default:
			s.log.Printf("cleaning up %s: %v", rec.fqdn, err)
			left = append(left, rec.fqdn)
		}
	}
	if left != nil {
		return fmt.Errorf("left behind: TXT of %s", strings.Join(left, ", "))
	}
	return nil
}
