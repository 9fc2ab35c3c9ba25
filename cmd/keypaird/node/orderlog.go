package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/acme/orderlog"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
)

// OrderLog returns the log of the orders at a CA, which is written to the engine, too.
func (n *Node) OrderLog(ca string, file *orderlog.Log) acme.OrderLog {
	return &orderLog{Log: file, node: n, ca: ca}
}

// An orderLog implements acme.OrderLog: the file first, the engine second. Its limits are
// those of the file, which has what all nodes ordered.
type orderLog struct {
	*orderlog.Log
	node *Node
	ca   string
}

func (l *orderLog) Reserve(ctx context.Context, kind orderlog.Kind, r orderlog.Request) error {
	if err := l.Log.Reserve(ctx, kind, r); err != nil {
		return err
	}
	switch {
	case l.node.isAlone():
		return nil
	case kind == orderlog.Finalize:
		return l.commitLines(ctx, r.Names)
	}
	return l.commitCounts(ctx)
}

// commitLines writes what was issued for a set of names.
func (l *orderLog) commitLines(ctx context.Context, names []string) error {
	lines, err := l.Lines(names...)
	if err != nil || len(lines) == 0 {
		return err
	}
	set := strings.Fields(lines[0])[2]
	return l.set(ctx, document.OrderLogKey(l.ca, set), document.OrderLog{Lines: lines})
}

// commitCounts writes how many orders were placed, for the limit of the account.
func (l *orderLog) commitCounts(ctx context.Context) error {
	l.node.counts.Lock()
	defer l.node.counts.Unlock()
	lines, err := l.Lines()
	if err != nil {
		return err
	}
	counts, err := countOrders(lines)
	if err != nil || len(counts.Orders) == 0 {
		return err
	}
	return l.set(ctx, document.CountsKey(l.ca), counts)
}

// set writes a value for the nodes that may order.
func (l *orderLog) set(ctx context.Context, key string, body any) error {
	op, err := l.node.op(key, body, nil)
	if err != nil {
		return err
	}
	return l.node.commit(ctx, op)
}

// countOrders counts the orders in lines of a log, which are sorted by time.
func countOrders(lines []string) (c document.Counts, err error) {
	for _, line := range lines {
		fields := strings.Fields(line)
		if fields[1] != string(orderlog.NewOrder) {
			continue
		}
		at, err := time.Parse(time.RFC3339, fields[0])
		if err != nil {
			return c, err
		}
		at = at.Truncate(document.CountPeriod)
		if last := len(c.Orders) - 1; last >= 0 && c.Orders[last].At.Equal(at) {
			c.Orders[last].N++
			continue
		}
		c.Orders = append(c.Orders, document.Count{At: at, N: 1})
	}
	return c, nil
}

// countedLines returns as many lines of a log as orders were counted. By whom is not
// known.
func countedLines(c document.Counts) (lines []string) {
	for _, count := range c.Orders {
		for range count.N {
			lines = append(lines, fmt.Sprintf("%s %s %032d", count.At.UTC().Format(time.RFC3339), orderlog.NewOrder, 0))
		}
	}
	return lines
}

// pullOrderLog adds what other nodes ordered at a CA to the log of this one.
func (n *Node) pullOrderLog(ctx context.Context, ca string, log *orderlog.Log) error {
	sets, err := n.read(ctx, document.OrderLogPrefix(ca))
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range sets {
		if l, _, ok := opened(n, e, document.Parse[document.OrderLog]); ok {
			lines = append(lines, l.Lines...)
		}
	}
	counts, err := engine.ReadKey(ctx, n.o.Fleet.Engine, document.CountsKey(ca))
	if err != nil {
		return err
	}
	if counts.Value != nil {
		if c, _, ok := opened(n, counts, document.Parse[document.Counts]); ok {
			lines = append(lines, countedLines(c)...)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return log.Merge(ctx, lines)
}

// read returns the entries below a prefix.
func (n *Node) read(ctx context.Context, prefix string) ([]engine.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s, err := n.o.Fleet.Engine.Read(ctx, prefix)
	return s.Entries, err
}
