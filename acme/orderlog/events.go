package orderlog

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// events holds the lines of the file that still count.
type events struct {
	orders []time.Time
	certs  map[nameSet][]issuance

	file    fs.FileInfo // as it was when it was last read or written; nil: never
	at      time.Time   // when it was read: a clock that was wrong may have dropped too much
	whole   bool        // the file ends with a complete line
	compact int64       // size of the file when it was last read from its start or rewritten
}

// An issuance is a certificate that was, or may have been, issued for an order.
type issuance struct {
	at    time.Time
	order uint64
}

// An event is a line of the file.
type event struct {
	at    time.Time
	kind  Kind
	names nameSet
	order uint64 // hash of its URL; 0 means none
}

// A nameSet stands for an exact set of names.
type nameSet [16]byte

// hashNames returns the set of names, in any order and spelling.
func hashNames(names []string) nameSet {
	canonical := make([]string, len(names))
	for i, name := range names {
		canonical[i] = strings.ToLower(name)
		if ip := net.ParseIP(name); ip != nil {
			canonical[i] = ip.String()
		}
	}
	slices.Sort(canonical)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(canonical), "\n")))
	return nameSet(sum[:len(nameSet{})])
}

// hashURL returns a hash of an order's URL; 0 means none.
func hashURL(order string) uint64 {
	if order == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(order))
	return cmp.Or(binary.BigEndian.Uint64(sum[:8]), 1)
}

func (e event) String() string {
	s := fmt.Sprintf("%s %s %x", e.at.UTC().Format(time.RFC3339), e.kind, e.names)
	if e.order != 0 {
		s += fmt.Sprintf(" %016x", e.order)
	}
	return s + "\n"
}

// earlierKinds are the kinds in files of earlier versions.
var earlierKinds = map[string]Kind{"order": NewOrder, "cert": Finalize}

// parseEvent reads a line. Damaged lines are skipped.
func parseEvent(line string) (e event, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 || len(fields) > 4 {
		return e, false
	}
	at, err := time.Parse(time.RFC3339, fields[0])
	if err != nil {
		return e, false
	}
	set, err := hex.DecodeString(fields[2])
	if err != nil || len(set) != len(e.names) {
		return e, false
	}
	e.at, e.kind, e.names = at.UTC(), cmp.Or(earlierKinds[fields[1]], Kind(fields[1])), nameSet(set)
	if len(fields) == 4 {
		if e.order, err = strconv.ParseUint(fields[3], 16, 64); err != nil {
			return e, false
		}
	}
	return e, e.kind == NewOrder || e.kind == Finalize
}

// keptPeriods is how many periods an event is kept: the clock may be wrong by one.
const keptPeriods = 2

// add adds an event, unless it is too old to count, even if a clock that is ahead is
// set back.
func (v *events) add(e event, now time.Time) {
	switch {
	case e.kind == NewOrder && now.Sub(e.at) < keptPeriods*orderPeriod:
		v.orders = append(v.orders, e.at)
	case e.kind == Finalize && now.Sub(e.at) < keptPeriods*weekPeriod:
		of := v.certs[e.names]
		if i := slices.IndexFunc(of, func(s issuance) bool { return e.order != 0 && s.order == e.order }); i >= 0 {
			of[i].at = e.at
			return
		}
		if v.certs == nil {
			v.certs = map[nameSet][]issuance{}
		}
		v.certs[e.names] = append(of, issuance{e.at, e.order})
	}
}

// certificates lists when certificates for a set of names were ordered, without that
// of one order.
func (v *events) certificates(set nameSet, order uint64) []time.Time {
	var times []time.Time
	for _, s := range v.certs[set] {
		if order == 0 || s.order != order {
			times = append(times, s.at)
		}
	}
	return times
}

// noted reports whether the certificate of an order was noted in the last hour.
func (v *events) noted(e event) bool {
	return slices.ContainsFunc(v.certs[e.names], func(s issuance) bool {
		return e.order != 0 && s.order == e.order && e.at.Sub(s.at).Abs() < time.Hour
	})
}

// finalized reports whether a certificate of an order was noted.
func (v *events) finalized(order uint64) bool {
	for _, of := range v.certs {
		if slices.ContainsFunc(of, func(s issuance) bool { return order != 0 && s.order == order }) {
			return true
		}
	}
	return false
}

// Bounds of the file: more than 3000 orders in three hours need. Of a longer file the
// end is read.
const (
	maxFile   = 16 << 20
	maxLine   = 256
	smallFile = 64 << 10 // not rewritten
)

// read reads the file, unless it is unchanged.
func (v *events) read(f *os.File, info fs.FileInfo, now time.Time) error {
	if v.file != nil && os.SameFile(v.file, info) && v.file.Size() == info.Size() && v.file.ModTime().Equal(info.ModTime()) && !now.Before(v.at) {
		return nil
	}
	*v = events{whole: true, at: now}
	begin := max(info.Size()-maxFile, 0)
	r := bufio.NewReaderSize(io.NewSectionReader(f, begin, maxFile), maxLine)
	for long := false; ; {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long, v.whole = true, false
			continue
		}
		if err != nil && err != io.EOF {
			*v = events{}
			return err
		}
		if len(line) > 0 {
			v.whole = err == nil
		}
		if e, ok := parseEvent(string(line)); ok && !long {
			v.add(e, now)
		}
		if long = false; err == io.EOF {
			break
		}
	}
	v.file, v.compact = info, int64(v.size())
	return nil
}

// write appends a line. After one that was cut off it begins a new line.
func (v *events) write(f *os.File, e event) error {
	line := e.String()
	if !v.whole {
		line = "\n" + line
	}
	v.file = nil // until the line is known to be complete
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	v.file, v.whole = info, true
	return nil
}

// mostlyOld reports whether most lines of the file no longer count.
func (v *events) mostlyOld() bool {
	return v.file != nil && v.file.Size() > max(smallFile, 2*v.compact)
}

// prune drops events that no longer count.
func (v *events) prune(now time.Time) {
	v.orders = slices.DeleteFunc(v.orders, func(t time.Time) bool { return now.Sub(t) >= keptPeriods*orderPeriod })
	for set, of := range v.certs {
		of = slices.DeleteFunc(of, func(s issuance) bool { return now.Sub(s.at) >= keptPeriods*weekPeriod })
		if v.certs[set] = of; len(of) == 0 {
			delete(v.certs, set)
		}
	}
}

// lines returns the file rewritten.
func (v *events) lines() []byte {
	var out bytes.Buffer
	for _, e := range v.list() {
		out.WriteString(e.String())
	}
	return out.Bytes()
}

// list returns the events by time, without the names of orders, which do not count.
func (v *events) list() []event {
	list := make([]event, 0, len(v.orders)+len(v.certs))
	for _, at := range v.orders {
		list = append(list, event{at: at, kind: NewOrder})
	}
	for set, of := range v.certs {
		for _, s := range of {
			list = append(list, event{s.at, Finalize, set, s.order})
		}
	}
	slices.SortFunc(list, func(a, b event) int {
		return cmp.Or(a.at.Compare(b.at), -cmp.Compare(a.kind, b.kind), bytes.Compare(a.names[:], b.names[:]), cmp.Compare(a.order, b.order))
	})
	return list
}

// size returns about the length of lines.
func (v *events) size() int {
	n := len(v.orders)
	for _, of := range v.certs {
		n += len(of)
	}
	return n * len(event{kind: NewOrder, order: 1}.String())
}
