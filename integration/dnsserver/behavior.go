package dnsserver

import (
	"time"

	"github.com/miekg/dns"
)

// ednsSize is the maximum size of the server's answers over UDP. It avoids
// fragments (DNS Flag Day 2020).
const ednsSize = 1232

// Garbage is a kind of wrong answer.
type Garbage int

// The kinds of wrong answers.
const (
	// NoGarbage gives correct answers.
	NoGarbage Garbage = iota
	// GarbageBytes answers with bytes that are not a DNS message.
	GarbageBytes
	// GarbageShort answers with only the query's header, cut in the middle.
	GarbageShort
	// GarbageCut gives the correct answer without the last bytes of the message.
	GarbageCut
	// GarbagePointerLoop answers with a name that is a compression pointer to
	// itself.
	GarbagePointerLoop
	// GarbageID gives the correct answer with the ID of another query.
	GarbageID
	// GarbageQuestion gives the correct answer to another question.
	GarbageQuestion
	// GarbageQuery sends the query back.
	GarbageQuery
)

// behavior says how the server misbehaves.
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

// SetDelay makes the server wait before it answers. Zero or less means no delay.
func (s *Server) SetDelay(d time.Duration) { s.change(func(b *behavior) { b.delay = d }) }

// SetRcode makes the server refuse every query with a response code, such as
// dns.RcodeServerFailure (2) or dns.RcodeRefused (5). Zero means correct answers.
func (s *Server) SetRcode(rcode int) { s.change(func(b *behavior) { b.rcode = rcode }) }

// Drop makes the server read queries without answering, as if a firewall dropped
// the packets.
func (s *Server) Drop(drop bool) { s.change(func(b *behavior) { b.drop = drop }) }

// SetGarbage makes the server give wrong answers.
func (s *Server) SetGarbage(g Garbage) { s.change(func(b *behavior) { b.garbage = g }) }

// SetTruncate makes the server truncate every answer over UDP, so that it has no
// records.
func (s *Server) SetTruncate(truncate bool) { s.change(func(b *behavior) { b.truncate = truncate }) }

// SetAdditional says whether SRV answers include the addresses of their targets.
// By default they do.
func (s *Server) SetAdditional(on bool) { s.change(func(b *behavior) { b.withoutExtras = !on }) }

// SetUDPSize sets the maximum size in bytes of answers over UDP, regardless of
// what the client allows. Values below 512 mean 512. The default is 1232.
func (s *Server) SetUDPSize(size int) {
	s.change(func(b *behavior) { b.udpSize = max(size, dns.MinMsgSize) })
}

// Behave ends all misbehavior.
func (s *Server) Behave() { s.change(func(b *behavior) { *b = defaultBehavior() }) }

func (s *Server) change(f func(*behavior)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.behavior)
}
