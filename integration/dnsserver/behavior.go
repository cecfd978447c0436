package dnsserver

import (
	"time"

	"github.com/miekg/dns"
)

// ednsSize is the largest answer over UDP that the server sends: the size that
// avoids fragments (DNS flag day 2020).
const ednsSize = 1232

// Garbage is a way to answer wrongly.
type Garbage int

// Ways to answer wrongly.
const (
	// NoGarbage answers properly.
	NoGarbage Garbage = iota
	// GarbageBytes answers with bytes that are not a DNS message.
	GarbageBytes
	// GarbageShort answers with the query's header alone, cut in the middle.
	GarbageShort
	// GarbageCut answers properly, without the last bytes of the message.
	GarbageCut
	// GarbagePointerLoop answers with a name that is compressed to a pointer to
	// itself.
	GarbagePointerLoop
	// GarbageID answers properly, under the ID of another query.
	GarbageID
	// GarbageQuestion answers properly, to a question that was not asked.
	GarbageQuestion
	// GarbageQuery sends the query back.
	GarbageQuery
)

// behavior is how the server misbehaves.
type behavior struct {
	delay         time.Duration
	rcode         int
	drop          bool
	garbage       Garbage
	truncate      bool
	withoutExtras bool
	udpSize       int
}

func defaultBehavior() behavior { return behavior{udpSize: ednsSize} }

// SetDelay makes the server wait before it answers. Zero or less is at once.
func (s *Server) SetDelay(d time.Duration) { s.change(func(b *behavior) { b.delay = d }) }

// SetRcode makes the server refuse every query with a response code, such as
// dns.RcodeServerFailure (2) or dns.RcodeRefused (5). Zero answers properly.
func (s *Server) SetRcode(rcode int) { s.change(func(b *behavior) { b.rcode = rcode }) }

// Drop makes the server read queries and answer none, as behind a firewall
// that drops packets.
func (s *Server) Drop(drop bool) { s.change(func(b *behavior) { b.drop = drop }) }

// SetGarbage makes the server answer wrongly.
func (s *Server) SetGarbage(g Garbage) { s.change(func(b *behavior) { b.garbage = g }) }

// SetTruncate makes the server truncate every answer over UDP, down to none.
func (s *Server) SetTruncate(truncate bool) { s.change(func(b *behavior) { b.truncate = truncate }) }

// SetAdditional says whether SRV answers come with the addresses of their
// targets. They do unless it is switched off.
func (s *Server) SetAdditional(on bool) { s.change(func(b *behavior) { b.withoutExtras = !on }) }

// SetUDPSize sets the size in bytes of the largest answer over UDP, whatever
// the client allows; less than 512 is 512. The server starts with 1232.
func (s *Server) SetUDPSize(size int) {
	s.change(func(b *behavior) { b.udpSize = max(size, dns.MinMsgSize) })
}

// Behave undoes every misbehaviour.
func (s *Server) Behave() { s.change(func(b *behavior) { *b = defaultBehavior() }) }

func (s *Server) change(f func(*behavior)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.behavior)
}
