package acme

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A book is what stands in orders.log, as far as it still matters:
//
//	2026-11-23T20:17:00Z order 8f434346648f6b96df89dda901c5176b
//	2026-11-23T20:17:02Z cert 8f434346648f6b96df89dda901c5176b 2c26b46b68ffc68f
//
// the time, what was asked for, sha256 of the names, and of the order's URL.
type book struct {
	orders []time.Time
	certs  map[setID][]signing

	as      fs.FileInfo // of the file as it was when we last read or wrote it; nil: not at all
	now     time.Time   // by which it was read: what was of the past then may not be for a clock that was set
	whole   bool        // the file ends with its last line
	compact int64       // size of the file when it was last read from its start or written anew
}

// A signing is a certificate that was, or may have been, issued for an order.
type signing struct {
	at    time.Time
	order uint64
}

// An entry is a line of the file.
type entry struct {
	at    time.Time
	what  cost
	set   setID
	order uint64
}

func (e entry) String() string {
	s := fmt.Sprintf("%s %s %x", e.at.UTC().Format(time.RFC3339), e.what, e.set)
	if e.order != 0 {
		s += fmt.Sprintf(" %016x", e.order)
	}
	return s + "\n"
}

// parseEntry reads a line; what is none is damaged, and passed over.
func parseEntry(line string) (e entry, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 || len(fields) > 4 {
		return e, false
	}
	at, err := time.Parse(time.RFC3339, fields[0])
	if err != nil {
		return e, false
	}
	set, err := hex.DecodeString(fields[2])
	if err != nil || len(set) != len(e.set) {
		return e, false
	}
	e.at, e.what, e.set = at.UTC(), cost(fields[1]), setID(set)
	if len(fields) == 4 {
		if e.order, err = strconv.ParseUint(fields[3], 16, 64); err != nil {
			return e, false
		}
	}
	return e, e.what == anOrder || e.what == aCertificate
}

// kept is how many periods an event is kept for: the clock may be wrong by one.
const kept = 2

// add enters what still counts, or will: a clock that shows the past now may be
// set right again.
func (b *book) add(e entry, now time.Time) {
	switch {
	case e.what == anOrder && now.Sub(e.at) < kept*orderPeriod:
		b.orders = append(b.orders, e.at)
	case e.what == aCertificate && now.Sub(e.at) < kept*longPeriod:
		of := b.certs[e.set]
		if i := slices.IndexFunc(of, func(s signing) bool { return e.order != 0 && s.order == e.order }); i >= 0 {
			of[i].at = e.at
			return
		}
		if b.certs == nil {
			b.certs = map[setID][]signing{}
		}
		b.certs[e.set] = append(of, signing{e.at, e.order})
	}
}

// others lists when certificates for a set of names were asked for, but for
// those of one order.
func (b *book) others(set setID, order uint64) []time.Time {
	var times []time.Time
	for _, s := range b.certs[set] {
		if order == 0 || s.order != order {
			times = append(times, s.at)
		}
	}
	return times
}

// signed reports whether the certificate of an order was noted a while ago.
func (b *book) signed(e entry) bool {
	const while = time.Hour
	return slices.ContainsFunc(b.certs[e.set], func(s signing) bool {
		return e.order != 0 && s.order == e.order && e.at.Sub(s.at).Abs() < while
	})
}

// What is read of orders.log: more than can matter with 3000 orders in three
// hours. Of a longer file the end counts.
const (
	maxBook     = 16 << 20
	maxBookLine = 256
	smallBook   = 64 << 10 // is left as it is
)

// read takes in a file, unless it is as we know it.
func (b *book) read(f *os.File, info fs.FileInfo, now time.Time) error {
	if b.as != nil && os.SameFile(b.as, info) && b.as.Size() == info.Size() && b.as.ModTime().Equal(info.ModTime()) && !now.Before(b.now) {
		return nil
	}
	*b = book{whole: true, now: now}
	begin := max(info.Size()-maxBook, 0)
	r := bufio.NewReaderSize(io.NewSectionReader(f, begin, maxBook), maxBookLine)
	for long := false; ; {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long, b.whole = true, false
			continue
		}
		if err != nil && err != io.EOF {
			*b = book{}
			return err
		}
		if len(line) > 0 {
			b.whole = err == nil
		}
		if e, ok := parseEntry(string(line)); ok && !long {
			b.add(e, now)
		}
		if long = false; err == io.EOF {
			break
		}
	}
	b.as, b.compact = info, int64(b.size())
	return nil
}

// write appends a line. What was cut off before stays apart from it.
func (b *book) write(f *os.File, e entry) error {
	line := e.String()
	if !b.whole {
		line = "\n" + line
	}
	b.as = nil // until it is known to be there, and all of it
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b.as, b.whole = info, true
	return nil
}

// grown reports whether most of the file is of the past.
func (b *book) grown() bool {
	return b.as != nil && b.as.Size() > max(smallBook, 2*b.compact)
}

// prune drops what is of the past.
func (b *book) prune(now time.Time) {
	b.orders = slices.DeleteFunc(b.orders, func(t time.Time) bool { return now.Sub(t) >= kept*orderPeriod })
	for set, of := range b.certs {
		of = slices.DeleteFunc(of, func(s signing) bool { return now.Sub(s.at) >= kept*longPeriod })
		if b.certs[set] = of; len(of) == 0 {
			delete(b.certs, set)
		}
	}
}

// lines is the file anew. Whose orders they were does not matter any more.
func (b *book) lines() []byte {
	var out bytes.Buffer
	for _, at := range b.orders {
		out.WriteString(entry{at: at, what: anOrder}.String())
	}
	for set, of := range b.certs {
		for _, s := range of {
			out.WriteString(entry{s.at, aCertificate, set, s.order}.String())
		}
	}
	return out.Bytes()
}

// size is about how long that is.
func (b *book) size() int {
	n := len(b.orders)
	for _, of := range b.certs {
		n += len(of)
	}
	return n * len(entry{what: anOrder, order: 1}.String())
}
