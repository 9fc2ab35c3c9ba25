package acmetest

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// DNSOptions configure a DNS server.
type DNSOptions struct {
	Addr    string        // UDP and TCP; empty means a free port of 127.0.0.1
	Zones   []string      // names of the zones; at least one. SOA and NS are made up for those that bring none
	Records []string      // zone file lines with full names: "matrix.example.org 60 A 127.0.0.1"
	Keys    []TSIGKey     // who may update; empty means nobody
	Delay   time.Duration // until an update shows in answers; zero means at once

	Wrap func(dns.Handler) dns.Handler // laid around the server, to drop or refuse queries; nil means nothing
}

// DNS is a small authoritative server: it answers for its zones, with wildcards and
// CNAMEs between them, refuses other names, and accepts signed updates (RFC 2136)
// without prerequisites. It has no delegations.
type DNS struct {
	Addr string // host:port, UDP and TCP

	zones     []string // canonical, longest first
	keys      map[string]TSIGKey
	servers   []*dns.Server
	served    chan error
	closeOnce func() error

	mu      sync.Mutex
	delay   time.Duration
	records map[string][]record // by canonical owner
	updates int
}

// A record is in answers from one time until another, if that is set.
type record struct {
	rr          dns.RR
	from, until time.Time
}

// StartDNS starts a server. The caller closes it.
func StartDNS(o DNSOptions) (*DNS, error) {
	d := &DNS{
		keys:    make(map[string]TSIGKey),
		delay:   o.Delay,
		records: make(map[string][]record),
	}
	d.closeOnce = sync.OnceValue(d.close)
	for _, k := range o.Keys {
		d.keys[dns.CanonicalName(k.Name)] = k
	}
	for _, z := range o.Zones {
		d.zones = append(d.zones, dns.CanonicalName(z))
	}
	slices.SortFunc(d.zones, func(a, b string) int { return len(b) - len(a) })
	if err := d.Add(o.Records...); err != nil {
		return nil, fmt.Errorf("starting DNS server: %w", err)
	}
	tcp, udp, err := listenBoth(orLoopback(o.Addr))
	if err != nil {
		return nil, fmt.Errorf("starting DNS server: %w", err)
	}
	d.Addr = tcp.Addr().String()
	for _, z := range d.zones {
		if err := d.apex(z); err != nil {
			tcp.Close()
			udp.Close()
			return nil, fmt.Errorf("starting DNS server: %w", err)
		}
	}
	var handler dns.Handler = dns.HandlerFunc(d.handle)
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	d.serve(handler, &dns.Server{Listener: tcp}, &dns.Server{PacketConn: udp})
	return d, nil
}

// listenBoth listens on one port for TCP and UDP.
func listenBoth(addr string) (net.Listener, net.PacketConn, error) {
	for tries := 0; ; tries++ {
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return tcp, udp, nil
		}
		tcp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" || tries == 20 {
			return nil, nil, err
		}
	}
}

// serve starts the servers and returns once they can be shut down.
func (d *DNS) serve(handler dns.Handler, servers ...*dns.Server) {
	secrets := make(map[string]string)
	for name, k := range d.keys {
		secrets[name] = k.Secret
	}
	d.servers, d.served = servers, make(chan error, len(servers))
	started := make(chan struct{}, len(servers))
	for _, srv := range servers {
		srv.Handler = handler
		srv.TsigSecret = secrets
		srv.MsgAcceptFunc = accept
		srv.NotifyStartedFunc = func() { started <- struct{}{} }
		go func() { d.served <- srv.ActivateAndServe() }()
	}
	for range servers {
		<-started
	}
}

// accept accepts updates, besides the messages that the library accepts.
func accept(h dns.Header) dns.MsgAcceptAction {
	const response = 1 << 15
	if opcode := int(h.Bits>>11) & 0xF; opcode == dns.OpcodeUpdate && h.Bits&response == 0 {
		return dns.MsgAccept
	}
	return dns.DefaultMsgAcceptFunc(h)
}

// Close stops the server. It may be called again.
func (d *DNS) Close() error { return d.closeOnce() }

func (d *DNS) close() error {
	var err error
	for _, srv := range d.servers {
		err = errors.Join(err, srv.Shutdown())
	}
	for range d.servers {
		err = errors.Join(err, <-d.served)
	}
	return err
}

// Add adds records to the zones, without delay, given as zone file lines.
func (d *DNS) Add(lines ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			return fmt.Errorf("record %q: %w", line, err)
		}
		if rr == nil || d.zoneOf(rr.Header().Name) == "" {
			return fmt.Errorf("record %q is in none of the zones %v", line, d.zones)
		}
		d.insert(rr, time.Time{})
	}
	return nil
}

// Remove removes the records of name of a type, such as "TXT", without delay; all of
// them if the type is empty.
func (d *DNS) Remove(name, rrtype string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = dns.CanonicalName(name)
	d.records[name] = slices.DeleteFunc(d.records[name], func(r record) bool {
		return rrtype == "" || r.rr.Header().Rrtype == dns.StringToType[strings.ToUpper(rrtype)]
	})
}

// SetDelay sets how long later updates take to become visible.
func (d *DNS) SetDelay(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// TXT lists the TXT records, visible or not, as "name value" without a trailing dot,
// sorted.
func (d *DNS) TXT() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []string{}
	for name, records := range d.records {
		for _, r := range records {
			if txt, ok := r.rr.(*dns.TXT); ok && r.until.IsZero() {
				list = append(list, strings.TrimSuffix(name, ".")+" "+strings.Join(txt.Txt, ""))
			}
		}
	}
	slices.Sort(list)
	return list
}

// Updates returns how many updates were made so far.
func (d *DNS) Updates() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.updates
}

// apex adds the SOA and NS records that a zone lacks, and the address of the name
// server.
func (d *DNS) apex(zone string) error {
	have := func(t uint16) bool {
		return slices.ContainsFunc(d.records[zone], func(r record) bool { return r.rr.Header().Rrtype == t })
	}
	if !have(dns.TypeNS) {
		host, _, err := net.SplitHostPort(d.Addr)
		if err != nil {
			return err
		}
		address := "A"
		if strings.Contains(host, ":") {
			address = "AAAA"
		}
		if err := d.Add(zone+" 60 NS ns."+zone, "ns."+zone+" 60 "+address+" "+host); err != nil {
			return err
		}
	}
	if have(dns.TypeSOA) {
		return nil
	}
	return d.Add(zone + " 60 SOA ns." + zone + " hostmaster." + zone + " 1 3600 600 86400 1")
}

// zoneOf returns the zone of name, "" if there is none.
func (d *DNS) zoneOf(name string) string {
	for _, z := range d.zones {
		if dns.IsSubDomain(z, dns.CanonicalName(name)) {
			return z
		}
	}
	return ""
}
