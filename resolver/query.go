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
	// ednsSize is the announced UDP payload size (RFC 6891). It is the value of
	// DNS Flag Day 2020, which fits into one packet on practically every path.
	ednsSize = 1232
	// rounds is how many times a server is asked if it does not answer.
	rounds = 2
	// maxAliases limits the length of a chain of CNAMEs, and so ends loops.
	maxAliases = 8
)

// dnsClient queries name servers. A new one is made for every resolution, since
// resolv.conf may have changed; state that lives longer is behind pointers.
type dnsClient struct {
	servers  []string       // host:port, at least one
	timeout  time.Duration  // of one exchange with one server
	network  string         // "udp", or "tcp" if resolv.conf demands it
	first    *atomic.Uint32 // index of the server that answered last
	exchange transport
	hosts    string // path of the hosts file
}

// answer is the result of a successful lookup: at least one record.
type answer struct {
	records []dns.RR
	extra   []dns.RR // the additional section
	ttl     uint32   // seconds; the minimum over the records and the aliases to them
}

// lookupError says which query failed.
type lookupError struct {
	name string
	typ  uint16
	err  error
}

func (e *lookupError) Error() string {
	return dns.TypeToString[e.typ] + " " + e.name + ": " + e.err.Error()
}

func (e *lookupError) Unwrap() error { return e.err }

// definitive reports whether err is a definitive DNS answer that nothing exists,
// rather than a failure to get an answer.
func definitive(err error) bool {
	return errors.Is(err, ErrNoSuchName) || errors.Is(err, ErrNoRecords) || errors.Is(err, ErrNoService)
}

// lookup returns the records of type typ of name, or of the name that it is an
// alias of (RFC 1034, section 3.6.2). name must be fully qualified.
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
				return fail(fmt.Errorf("the CNAME chain is a loop or longer than %d, at %s", maxAliases, quote(owner)))
			}
			cname, ok := alias[0].(*dns.CNAME)
			if !ok || cname.Target == "" { // the parser accepts records without data
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
			continue // the server did not resolve the alias; look it up
		}
		if !strings.EqualFold(owner, name) {
			return fail(fmt.Errorf("%s answered about the alias %s: %w", server, quote(owner), err))
		}
		return fail(fmt.Errorf("%s answered: %w", server, err))
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

// ttlOf returns a record's TTL. A TTL whose most significant bit is set counts as
// 0 (RFC 2181, section 8).
func ttlOf(rr dns.RR) uint32 {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return ttl
	}
	return 0
}

// query asks the servers in turn, starting with the one that answered last, until
// one says that there are records or that there are none.
func (c *dnsClient) query(ctx context.Context, name string, typ uint16) (*dns.Msg, string, error) {
	n := len(c.servers)
	first := int(c.first.Load()) % n
	failed := make([]error, n)
	for range rounds {
		for i := range n {
			i = (first + i) % n
			if failed[i] != nil && answered(failed[i]) {
				continue // repeating the query would give the same answer
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

// responseError is a response that answers nothing, so that another server should
// be asked.
type responseError struct {
	text  string
	rcode int
}

func (e *responseError) Error() string { return e.text }

func answered(err error) bool {
	_, ok := errors.AsType[*responseError](err)
	return ok
}

// serverFailed reports whether err consists only of SERVFAIL.
func serverFailed(err error) bool {
	r, ok := errors.AsType[*responseError](err)
	return ok && r.rcode == dns.RcodeServerFailure && !errors.Is(err, context.DeadlineExceeded)
}

// ask sends the query to one server. The timeout applies to each of the exchanges
// that this may take.
func (c *dnsClient) ask(ctx context.Context, server, name string, typ uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, typ) // a random ID, recursion desired
	q.SetEdns0(ednsSize, false)
	msg, err := c.send(ctx, c.network, server, q)
	if err != nil {
		return nil, err
	}
	switch msg.Rcode {
	case dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers:
		// RFC 6891, section 7: the server does not speak EDNS.
		q.Extra, q.Id = nil, dns.Id()
		if msg, err = c.send(ctx, c.network, server, q); err != nil {
			return nil, err
		}
	}
	if msg.Truncated && c.network == "udp" {
		// RFC 7766, section 5: the full answer is available over TCP.
		q.Id = dns.Id()
		if msg, err = c.send(ctx, "tcp", server, q); err != nil {
			return nil, fmt.Errorf("the answer was truncated, and over TCP: %w", err)
		}
	}
	switch {
	case msg.Truncated && len(msg.Answer) == 0:
		return nil, &responseError{text: "the answer is truncated even over TCP"}
	case msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError:
		return nil, &responseError{text: rcodeText(msg.Rcode), rcode: msg.Rcode}
	case isLame(msg):
		return nil, &responseError{text: "a referral, or nothing: the server is not responsible for this name and does not recurse"}
	}
	return msg, nil
}

func rcodeText(rcode int) string {
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("RCODE %d", rcode)
}

// isLame detects lame answers, in which the server merely refers to others, or
// says nothing at all. libc ignores both, too (glibc, res_send).
func isLame(msg *dns.Msg) bool {
	if msg.Rcode != dns.RcodeSuccess || msg.Authoritative || msg.RecursionAvailable || len(msg.Answer) > 0 {
		return false
	}
	lame := len(msg.Ns) == 0 && len(msg.Extra) == 0
	for _, rr := range msg.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeSOA:
			return false // NODATA, RFC 2308, section 2.2
		case dns.TypeNS:
			lame = true
		}
	}
	return lame
}

// send makes one exchange and returns the answer to q. It ignores packets that do
// not belong to q (RFC 5452, section 9.1) until the timeout. The timeout's error
// then says why the last such packet was ignored.
func (c *dnsClient) send(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	wire, err := q.Pack()
	if err != nil {
		return nil, &responseError{text: fmt.Sprintf("the query cannot be encoded: %v", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var (
		msg    *dns.Msg
		bad    error // the packet answers q but is unusable
		passed error // why the last packet was ignored
	)
	err = c.exchange(ctx, network, server, wire, func(packet []byte) bool {
		msg, bad, passed = checkAnswer(network, q, packet)
		return passed == nil
	})
	switch {
	case err != nil && passed != nil:
		return nil, fmt.Errorf("%w; the last packet was ignored: %w", timeoutError(network, err), passed)
	case err != nil:
		return nil, timeoutError(network, err)
	case bad != nil:
		return nil, bad
	}
	return msg, nil
}

// timeoutError gives the timeouts of the context and of the socket the same text,
// since either may come first.
func timeoutError(network string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("timeout over %s: %w", network, context.DeadlineExceeded)
	}
	return err
}

// checkAnswer parses packet as an answer to q. passed says why the packet does
// not answer q at all. bad says why an answer to q is unusable. Over TCP a
// truncated answer is all that there is: a message holds 64 KiB, and forwarders
// pass on what they got over UDP. So it must be good as far as it goes.
func checkAnswer(network string, q *dns.Msg, packet []byte) (msg *dns.Msg, bad, passed error) {
	m := new(dns.Msg)
	err := m.Unpack(packet)
	switch {
	case len(packet) < 12:
		return nil, nil, fmt.Errorf("%d bytes are not a DNS message", len(packet))
	case m.Id != q.Id:
		return nil, nil, errors.New("wrong ID")
	case !m.Response || m.Opcode != dns.OpcodeQuery:
		return nil, nil, errors.New("not a response to a query")
	case m.Truncated && network == "udp":
		return m, nil, nil // a truncated message may not parse
	case err != nil:
		return nil, &responseError{text: "malformed answer: " + err.Error()}, nil
	}
	// If a message ends between two records, the parser stops without an error.
	// The message then looks like a shorter answer, or like an empty one.
	if promised := int(binary.BigEndian.Uint16(packet[6:])); promised != len(m.Answer) {
		return nil, &responseError{text: fmt.Sprintf("malformed answer: it has %d of the %d records that its header announces", len(m.Answer), promised)}, nil
	}
	if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess {
		return m, nil, nil // some servers refuse a query with only a header
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
