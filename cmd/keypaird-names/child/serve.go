package child

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/output"
	"keypaird/hooks/discover"
	"keypaird/hooks/discover/plan"
	"keypaird/hooks/verify"
	"keypaird/renew/problem"
)

// serve answers a request.
func serve(ctx context.Context, r *message.Request, log io.Writer) message.Answer {
	d := discoverer(r, log)
	switch {
	case r.Discover != nil && r.Verify == nil:
		return discoverFor(ctx, r, d)
	case r.Verify != nil && r.Discover == nil:
		return verifyFor(ctx, r, d)
	}
	return failed(errors.New("neither to discover nor to verify is asked"))
}

// failed returns the answer that has no result.
func failed(err error) message.Answer {
	return message.Answer{Error: err.Error(), Remedy: problem.Remedy(err)}
}

// discoverer returns the Discoverer that a request describes.
func discoverer(r *message.Request, log io.Writer) *discover.Discoverer {
	roots := x509.NewCertPool()
	if !r.Lookup.RootsOnly {
		if system, err := x509.SystemCertPool(); err == nil {
			roots = system
		}
	}
	roots.AppendCertsFromPEM(r.Lookup.Roots)
	d := &discover.Discoverer{Resolvers: r.Lookup.Resolvers, Resolve: r.Lookup.Resolve, Roots: roots, Ask: r.Lookup.Ask}
	if r.Verbose {
		d.Log = output.Logger(log, slog.LevelDebug)
	}
	return d
}

// A result is that of a discovery or a plan.
type result interface {
	WriteText(w io.Writer, width int) error
}

// discoverFor answers a request to discover.
func discoverFor(ctx context.Context, r *message.Request, d *discover.Discoverer) message.Answer {
	q := r.Discover
	if q.Plan != nil {
		p, err := plan.Make(ctx, d, q.Domain, plan.Goal(*q.Plan))
		if err != nil {
			return failed(err)
		}
		return written(&p, p.Err(time.Now()), r)
	}
	answer, err := d.Discover(ctx, q.Domain, q.Services, q.Components)
	switch {
	case err != nil:
		return failed(err)
	case r.Format == message.Facts:
		needs := needsOf(answer)
		if q.Machine {
			needs.Machine = machineOf(answer)
			needs.Machine.NameServers, needs.Machine.Primary = d.Zone(ctx, q.Domain)
		}
		return message.Answer{Needs: needs}
	}
	doc := document(d, answer)
	return written(doc, doc.Err(), r)
}

// written returns a result as a request wants it, with the error that it amounts to.
func written(found result, err error, r *message.Request) (a message.Answer) {
	if err != nil {
		a = failed(err)
	}
	var b strings.Builder
	if r.Format == message.JSON {
		err = writeJSON(&b, found)
	} else {
		err = found.WriteText(&b, r.Width)
	}
	if err != nil {
		return failed(err)
	}
	a.Output = b.String()
	return a
}

// verifyFor answers a request to verify.
func verifyFor(ctx context.Context, r *message.Request, d *discover.Discoverer) message.Answer {
	v := verify.Verifier{Lookup: *d, Roots: d.Roots, Stored: r.Verify.Stored}
	rows, err := v.Verify(ctx, r.Verify.Targets, r.Verify.Domains)
	if err != nil {
		return failed(err)
	}
	var b strings.Builder
	switch {
	case r.Format == message.Facts:
		return message.Answer{Checks: checksOf(rows)}
	case r.Format == message.JSON && len(rows) > 0:
		err = writeJSON(&b, rows)
	case r.Format == message.TAP && len(rows) > 0:
		err = verify.WriteTAP(&b, rows)
	default:
		err = verify.WriteText(&b, rows, r.Width)
	}
	if err != nil {
		return failed(err)
	}
	a := message.Answer{Output: b.String()}
	if err := verify.Err(rows); err != nil {
		a.Error, a.Remedy = err.Error(), problem.Remedy(err)
	}
	return a
}

// writeJSON writes a result for programs.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
