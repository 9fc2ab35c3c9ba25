package front

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
)

const (
	most = 256 // connections that wait, and as many that are answered
	each = 64  // of these from one address
)

// A Front bounds the connections of one service. Its zero value is ready for use.
type Front struct {
	mu                 sync.Mutex
	waiting, answering list.List // of *Conn, the oldest first
}

// Listen returns a listener that accepts for the front, and never waits for others to
// end.
func (f *Front) Listen(l net.Listener) net.Listener { return listener{l, f} }

type listener struct {
	net.Listener
	front *Front
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: conn, front: l.front, peer: peerOf(conn.RemoteAddr())}
	l.front.put(c, &l.front.waiting)
	return c, nil
}

// A Conn is a connection that its front may close.
type Conn struct {
	net.Conn
	front *Front
	peer  netip.Prefix // not valid: exempt

	queue   *list.List // that it is in; nil: it is closed; front.mu guards both
	element *list.Element
}

// Requested notes that the request has been received.
func (c *Conn) Requested() { c.front.put(c, &c.front.answering) }

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.front.mu.Lock()
	c.leave()
	c.front.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite lets the peer read the last answer although it still sends.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// leave takes the connection from its queue. front.mu must be held.
func (c *Conn) leave() {
	if c.queue != nil {
		c.queue.Remove(c.element)
		c.queue = nil
	}
}

// put moves a connection, or one that was just accepted, to the end of a queue, and
// closes the one that it replaces.
func (f *Front) put(c *Conn, queue *list.List) {
	f.mu.Lock()
	if queue == &f.answering && c.queue == nil { // replaced meanwhile
		f.mu.Unlock()
		return
	}
	c.leave()
	replaced := oldest(queue, c.peer)
	if replaced != nil {
		replaced.leave()
	}
	c.queue, c.element = queue, queue.PushBack(c)
	f.mu.Unlock()
	if replaced != nil {
		replaced.Conn.Close()
	}
}

// oldest returns the connection that one more of a peer replaces; nil: none.
func oldest(queue *list.List, peer netip.Prefix) *Conn {
	var first *Conn
	same := 0
	for e := queue.Front(); e != nil && peer.IsValid(); e = e.Next() {
		if c := e.Value.(*Conn); c.peer == peer {
			if same++; first == nil {
				first = c
			}
		}
	}
	switch {
	case same >= each:
		return first
	case queue.Len() >= most:
		return queue.Front().Value.(*Conn)
	}
	return nil
}

// peerOf returns the network that shares the bound for an address.
func peerOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	network, _ := ip.Prefix(bits) // invalid as its address is
	return network
}
