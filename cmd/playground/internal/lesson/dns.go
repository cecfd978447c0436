package lesson

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// dnsTap passes DNS packets over UDP on to a server, and remembers them.
type dnsTap struct {
	conn   *net.UDPConn
	server string
	wg     sync.WaitGroup

	mu        sync.Mutex
	exchanges []exchange
}

// exchange is a question and its answer, as they were on the wire.
type exchange struct{ query, answer []byte }

// tapDNS returns a tap before the DNS server. It is closed with the stage.
func (s *stage) tapDNS() (*dnsTap, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	t := &dnsTap{conn: conn, server: s.cluster.DNS.Addr()}
	t.wg.Go(t.serve)
	s.closers = append(s.closers, t.close)
	return t, nil
}

func (t *dnsTap) close() error {
	err := t.conn.Close()
	t.wg.Wait()
	return err
}

func (t *dnsTap) serve() {
	buf := make([]byte, dns.MaxMsgSize)
	for {
		n, client, err := t.conn.ReadFromUDP(buf)
		if err != nil {
			return // closed
		}
		query := append([]byte(nil), buf[:n]...)
		t.wg.Go(func() {
			answer, err := t.ask(query)
			if err != nil {
				return // to the client it is a lost packet
			}
			t.mu.Lock()
			t.exchanges = append(t.exchanges, exchange{query, answer})
			t.mu.Unlock()
			_, _ = t.conn.WriteToUDP(answer, client)
		})
	}
}

func (t *dnsTap) ask(query []byte) ([]byte, error) {
	conn, err := net.Dial("udp", t.server) //nolint:noctx // it connects to nothing
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // nothing is left to be lost
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buf)
	return buf[:n], err
}

// find returns the exchange about the records of that type that name has.
func (t *dnsTap) find(name string, typ uint16) (exchange, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.exchanges {
		m := new(dns.Msg)
		if m.Unpack(x.query) == nil && m.Question[0].Name == name && m.Question[0].Qtype == typ {
			return x, nil
		}
	}
	return exchange{}, fmt.Errorf("nobody asked for %s of %s", dns.TypeToString[typ], name)
}

// listDNS lists a DNS message (RFC 1035, section 4) as package wire lists others. Its ID
// and the ports in it, which differ from run to run, are shown as shownID and shownPort,
// unless raw is set.
func listDNS(arrow string, msg []byte, raw bool) (string, error) {
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		return "", err
	}
	l := &dnsLister{arrow: arrow, msg: append([]byte(nil), msg...), raw: raw}
	l.line(2, 0, "ID: %#04x", l.number(shownID))
	l.line(2, 0, "flags: response %v, authoritative %v, recursion desired %v, %s", m.Response, m.Authoritative, m.RecursionDesired, dns.RcodeToString[m.Rcode])
	l.line(8, 0, "%d question, %d answers, %d authorities, %d additional", len(m.Question), len(m.Answer), len(m.Ns), len(m.Extra))
	for _, q := range m.Question {
		l.line(l.name(), 0, "question: %s", q.Name)
		l.line(4, 1, "type %s, class %s", dns.TypeToString[q.Qtype], dns.ClassToString[q.Qclass])
	}
	for _, rr := range append(append(m.Answer, m.Ns...), m.Extra...) {
		l.record(rr)
	}
	return l.out.String(), l.err
}

const (
	shownID   = 0x1035
	shownPort = 2379
)

type dnsLister struct {
	arrow string
	msg   []byte
	raw   bool
	at    int
	out   strings.Builder
	err   error
}

// number is the number of two bytes here, which becomes shown unless raw is set.
func (l *dnsLister) number(shown uint16) uint16 {
	if !l.raw {
		binary.BigEndian.PutUint16(l.msg[l.at:], shown)
	}
	return binary.BigEndian.Uint16(l.msg[l.at:])
}

// name is the length of the name here.
func (l *dnsLister) name() int {
	_, end, err := dns.UnpackDomainName(l.msg, l.at)
	if err != nil {
		l.err = err
		return 0
	}
	return end - l.at
}

func (l *dnsLister) record(rr dns.RR) {
	h := rr.Header()
	l.line(l.name(), 0, "%s: %s", dns.TypeToString[h.Rrtype], h.Name)
	if opt, ok := rr.(*dns.OPT); ok {
		l.line(8, 1, "I take %d bytes over UDP (EDNS0)", opt.UDPSize())
		l.line(2, 1, "no options")
		return
	}
	l.line(4, 1, "type %s, class IN", dns.TypeToString[h.Rrtype])
	l.line(4, 1, "TTL: %d s", h.Ttl)
	l.line(2, 1, "length: %d", h.Rdlength)
	srv, ok := rr.(*dns.SRV)
	if !ok {
		l.line(int(h.Rdlength), 1, "%s", strings.TrimPrefix(rr.String(), h.String()))
		return
	}
	l.line(2, 1, "priority: %d", srv.Priority)
	l.line(2, 1, "weight: %d", srv.Weight)
	l.line(2, 1, "port: %d", l.number(shownPort))
	l.line(l.name(), 1, "target: %s", srv.Target)
}

// line lists the next n bytes.
func (l *dnsLister) line(n, depth int, format string, args ...any) {
	const perLine = 16
	meaning := strings.Repeat("  ", depth) + fmt.Sprintf(format, args...)
	for n > 0 && l.err == nil {
		k := min(n, perLine)
		text := fmt.Sprintf("%s %08x  %-48s  %s", l.arrow, l.at, fmt.Sprintf("% x", l.msg[l.at:l.at+k]), meaning)
		l.out.WriteString(strings.TrimRight(text, " ") + "\n")
		l.at, n, meaning = l.at+k, n-k, ""
	}
}
