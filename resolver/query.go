package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// ednsSize is the UDP payload size to announce (RFC 6891): the value of DNS
	// Flag Day 2020, which fits into one packet on practically every path.
	ednsSize = 1232
	// rounds is how often a server that does not answer is asked.
	rounds = 2
	// maxAliases bounds a chain of CNAMEs, which is how a loop of them ends.
	maxAliases = 8
)

// dnsClient asks name servers. It is made anew for every resolution, since
// resolv.conf may have changed; what lives longer is behind pointers.
type dnsClient struct {
	servers  []string       // host:port, at least one
	timeout  time.Duration  // of one exchange with one server
	first    *atomic.Uint32 // index of the server that answered last
	exchange transport
	hosts    string // path of the hosts file
}

// answer is what a lookup found: at least one record.
type answer struct {
	records []dns.RR
	extra   []dns.RR // the additional section
	ttl     uint32   // the smallest of the records and of the aliases to them; seconds
}

// lookupError says which question failed.
type lookupError struct {
	name string
	typ  uint16
	err  error
}

func (e *lookupError) Error() string {
	return dns.TypeToString[e.typ] + " " + e.name + ": " + e.err.Error()
}

func (e *lookupError) Unwrap() error { return e.err }

// definitive reports whether err is the DNS's last word: there is nothing, as
// opposed to nobody having said.
func definitive(err error) bool {
	return errors.Is(err, ErrNoSuchName) || errors.Is(err, ErrNoRecords) || errors.Is(err, ErrNoService)
}

// lookup returns the records of type typ that name, which is fully qualified,
// has itself or as an alias (RFC 1034, section 3.6.2).
func (c *dnsClient) lookup(ctx context.Context, name string, typ uint16) (answer, error) {
	fail := func(err error) (answer, error) { return answer{}, &lookupError{name, typ, err} }
	owner, ttl := name, ^uint32(0)
	for hops := 0; ; {
		msg, server, err := c.query(ctx, owner, typ)
		if err != nil {
			return fail(err)
		}
		asked := owner
		var records []dns.RR
		for {
			records = recordsOf(msg, owner, typ)
			if len(records) > 0 {
				break
			}
			alias := recordsOf(msg, owner, dns.TypeCNAME)
			if len(alias) == 0 || typ == dns.TypeCNAME {
				break
			}
			if hops++; hops > maxAliases {
				return fail(fmt.Errorf("the CNAME chain is longer than %d or a loop, at %s", maxAliases, quote(owner)))
			}
			cname, ok := alias[0].(*dns.CNAME)
			if !ok || cname.Target == "" { // the parser lets records without data pass
				return fail(fmt.Errorf("malformed answer: the CNAME of %s has no target", quote(owner)))
			}
			ttl = min(ttl, ttlOf(cname))
			owner = cname.Target
		}
		if len(records) > 0 {
			for _, rr := range records {
				ttl = min(ttl, ttlOf(rr))
			}
			return answer{records: records, extra: msg.Extra, ttl: ttl}, nil
		}
		switch {
		case msg.Rcode == dns.RcodeNameError:
			err = ErrNoSuchName
		case strings.EqualFold(owner, asked):
			err = ErrNoRecords
		default:
			continue // the server left the alias for us to follow
		}
		if !strings.EqualFold(owner, name) {
			return fail(fmt.Errorf("%s says of the alias %s: %w", server, quote(owner), err))
		}
		return fail(fmt.Errorf("%s says: %w", server, err))
	}
}

func recordsOf(msg *dns.Msg, owner string, typ uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range msg.Answer {
		if h := rr.Header(); h.Rrtype == typ && h.Class == dns.ClassINET && strings.EqualFold(h.Name, owner) {
			out = append(out, rr)
		}
	}
	return out
}

// ttlOf reads a TTL with its most significant bit set as 0 (RFC 2181, section
// 8).
func ttlOf(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return ttl
	}
	return 0
}

// query asks the servers in turn, the one that answered last first, until one
// says that there are records or that there are none.
func (c *dnsClient) query(ctx context.Context, name string, typ uint16) (*dns.Msg, string, error) {
	n := len(c.servers)
	first := int(c.first.Load()) % n
	failed := make([]error, n)
	for range rounds {
		for i := range n {
			i = (first + i) % n
			if failed[i] != nil && answered(failed[i]) {
				continue // asking again would give the same
			}
			msg, err := c.ask(ctx, c.servers[i], name, typ)
			if err == nil {
				c.first.Store(uint32(i))
				return msg, c.servers[i], nil
			}
			failed[i] = fmt.Errorf("%s: %w", c.servers[i], err)
			if ctx.Err() != nil {
				return nil, "", joined(failed)
			}
		}
	}
	return nil, "", joined(failed)
}

// responseError is an answer from which nothing can be learned, so that another
// server should be asked.
type responseError struct {
	text  string
	rcode int
}

func (e *responseError) Error() string { return e.text }

func answered(err error) bool {
	_, ok := errors.AsType[*responseError](err)
	return ok
}

// serverFailed reports whether err is nothing but SERVFAIL.
func serverFailed(err error) bool {
	r, ok := errors.AsType[*responseError](err)
	return ok && r.rcode == dns.RcodeServerFailure && !errors.Is(err, context.DeadlineExceeded)
}

// ask has one server answer the question. Its timeout is for each of the
// exchanges that this can take.
func (c *dnsClient) ask(ctx context.Context, server, name string, typ uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, typ) // a random ID, recursion desired
	q.SetEdns0(ednsSize, false)
	msg, err := c.send(ctx, "udp", server, q)
	if err != nil {
		return nil, err
	}
	switch msg.Rcode {
	case dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers:
		// RFC 6891, section 7: the server does not speak EDNS.
		q.Extra, q.Id = nil, dns.Id()
		if msg, err = c.send(ctx, "udp", server, q); err != nil {
			return nil, err
		}
	}
	if msg.Truncated {
		// RFC 7766, section 5: the whole answer is to be had over TCP.
		q.Id = dns.Id()
		if msg, err = c.send(ctx, "tcp", server, q); err != nil {
			return nil, fmt.Errorf("the answer was truncated, and over TCP: %w", err)
		}
		if msg.Truncated {
			return nil, &responseError{text: "the answer is truncated even over TCP"}
		}
	}
	switch {
	case msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError:
		return nil, &responseError{text: rcodeText(msg.Rcode), rcode: msg.Rcode}
	case isReferral(msg):
		return nil, &responseError{text: "a referral: the server is not responsible for this name and does not recurse"}
	}
	return msg, nil
}

func rcodeText(rcode int) string {
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("RCODE %d", rcode)
}

// isReferral finds lame answers: the server merely points to others.
func isReferral(msg *dns.Msg) bool {
	if msg.Rcode != dns.RcodeSuccess || msg.Authoritative || msg.RecursionAvailable || len(msg.Answer) > 0 {
		return false
	}
	ns := false
	for _, rr := range msg.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeSOA:
			return false // NODATA, RFC 2308, section 2.2
		case dns.TypeNS:
			ns = true
		}
	}
	return ns
}

// send makes one exchange and returns the answer that belongs to q. Packets
// that do not belong to it are passed over (RFC 5452, section 9.1) until the
// timeout, whose error then tells of the last of them.
func (c *dnsClient) send(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	wire, err := q.Pack()
	if err != nil {
		return nil, &responseError{text: fmt.Sprintf("the question cannot be packed: %v", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var (
		msg    *dns.Msg
		bad    error // the answer is ours and useless
		passed error // why the last packet was passed over
	)
	err = c.exchange(ctx, network, server, wire, func(packet []byte) bool {
		msg, bad, passed = checkAnswer(q, packet)
		return passed == nil
	})
	switch {
	case err != nil && passed != nil:
		return nil, fmt.Errorf("%w; the last packet was passed over: %w", timeoutError(network, err), passed)
	case err != nil:
		return nil, timeoutError(network, err)
	case bad != nil:
		return nil, bad
	}
	return msg, nil
}

// timeoutError gives the timeouts of the context and of the socket, which race,
// one text.
func timeoutError(network string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("timeout over %s: %w", network, context.DeadlineExceeded)
	}
	return err
}

// checkAnswer parses packet as an answer to q. passed tells why the packet is
// not an answer to q at all, bad that it is one and useless.
func checkAnswer(q *dns.Msg, packet []byte) (msg *dns.Msg, bad, passed error) {
	m := new(dns.Msg)
	err := m.Unpack(packet)
	switch {
	case len(packet) < 12:
		return nil, nil, fmt.Errorf("%d bytes are not a DNS message", len(packet))
	case m.Id != q.Id:
		return nil, nil, errors.New("wrong ID")
	case !m.Response || m.Opcode != dns.OpcodeQuery:
		return nil, nil, errors.New("not a response to a query")
	case m.Truncated:
		return m, nil, nil // what is cut need not parse
	case err != nil:
		return nil, &responseError{text: "malformed answer: " + err.Error()}, nil
	}
	// The parser stops without an error where a message ends between two
	// records, which then looks like a shorter answer, or like none.
	if promised := int(binary.BigEndian.Uint16(packet[6:])); promised != len(m.Answer) {
		return nil, &responseError{text: fmt.Sprintf("malformed answer: %d records of the promised %d are there", len(m.Answer), promised)}, nil
	}
	if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess {
		return m, nil, nil // some servers refuse with a header alone
	}
	if len(m.Question) != 1 {
		return nil, nil, fmt.Errorf("%d questions instead of one", len(m.Question))
	}
	want, got := q.Question[0], m.Question[0]
	if !strings.EqualFold(got.Name, want.Name) || got.Qtype != want.Qtype || got.Qclass != want.Qclass {
		return nil, nil, fmt.Errorf("it answers another question: %s", quote(got.Name))
	}
	return m, nil, nil
}
