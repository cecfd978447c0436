package balancer

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/resolver"
)

// link is one connection to a member: grpc's SubConn for it, the bytes below
// it, and the requests on it that wait for an answer.
type link struct {
	sc   balancer.SubConn
	wire wire
	made time.Time // slot 0 begins

	// reads and writes are the requests that wait for an answer.
	reads, writes waiting
	// heard and agreed are the slots in which the last answer came, and the last
	// that took an agreement of the members.
	heard, agreed atomic.Int64

	term      atomic.Uint64 // the newest raft term that an answer told
	termSince atomic.Int64  // when that was first told, as slot number

	probing bool // guarded by policy.mu
}

const (
	slotTime = 25 * time.Millisecond
	slots    = 256 // 6.4 s: a request that is older is taken for a younger one
)

func newLink() *link { return &link{made: time.Now()} }

// slotAt is the slot of a moment in the link's life.
func (l *link) slotAt(t time.Time) int64 { return int64(t.Sub(l.made) / slotTime) }

// waiting counts requests under way by the time slot in which they were sent, so
// that the age of the oldest can be told without a lock or a list: a request adds
// one to its slot, and takes it away when it ends.
type waiting [slots]atomic.Int32

func (w *waiting) add(slot int64, n int32) { w[slot%slots].Add(n) }

// oldest returns the slot of the oldest request; none is after now, the present
// one.
func (w *waiting) oldest(now int64) (slot int64, ok bool) {
	for s := max(0, now-slots+1); s <= now; s++ {
		if w[s%slots].Load() > 0 {
			return s, true
		}
	}
	return 0, false
}

// sent counts a request of a.
func (l *link) sent(a *Attempt, slot int64) { l.kind(a).add(slot, 1) }

// ended takes away what sent has counted.
func (l *link) ended(a *Attempt, slot int64) { l.kind(a).add(slot, -1) }

func (l *link) kind(a *Attempt) *waiting {
	if a.Write {
		return &l.writes
	}
	return &l.reads
}

// count returns how many requests wait.
func (l *link) count() (n int) {
	for i := range l.reads {
		n += int(l.reads[i].Load() + l.writes[i].Load())
	}
	return n
}

// silence is how long the oldest request has waited, or since when no answer has
// come if that is shorter.
func (l *link) silence(now time.Time) time.Duration {
	slot := l.slotAt(now)
	since, ok := l.oldest(slot)
	if !ok {
		return 0
	}
	return time.Duration(slot-max(since, l.heard.Load())) * slotTime
}

// oldest returns the slot of the oldest request that waits.
func (l *link) oldest(now int64) (slot int64, ok bool) {
	r, reads := l.reads.oldest(now)
	w, writes := l.writes.oldest(now)
	if reads && (!writes || r < w) {
		return r, true
	}
	return w, writes
}

// observeTerm notes the raft term that an answer told.
func (l *link) observeTerm(term uint64, now time.Time) {
	for old := l.term.Load(); term > old; old = l.term.Load() {
		if l.term.CompareAndSwap(old, term) {
			if old != 0 {
				l.termSince.Store(l.slotAt(now))
			}
			return
		}
	}
}

// wire is the bytes of one connection, which grpc makes and the policy may
// break.
type wire struct {
	mu     sync.Mutex
	conn   net.Conn
	broken bool
}

type wireKey struct{}

// address returns addr with the wire in its attributes, so that the transport
// credentials, which see each new connection first, can hand it in with Tap.
func (w *wire) address(addr resolver.Address) resolver.Address {
	if addr.Attributes == nil {
		addr.Attributes = attributes.New(wireKey{}, w)
	} else {
		addr.Attributes = addr.Attributes.WithValue(wireKey{}, w)
	}
	return addr
}

// Tap gives the policy the means to break a connection on which its member has
// fallen silent. Transport credentials call it from ClientHandshake, with the
// attributes of the address (credentials.ClientHandshakeInfoFromContext) and the
// connection before the handshake. Without it, requests on a silent connection
// wait for their deadlines or for HTTP/2's pings.
func Tap(attrs *attributes.Attributes, conn net.Conn) {
	w, ok := attrs.Value(wireKey{}).(*wire)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		_ = conn.Close() // too late to be of use
		return
	}
	w.conn = conn
}

// sever breaks the connection at once: what is under way on it fails now.
func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	if w.conn != nil {
		_ = w.conn.Close() // whether it was whole does not matter any more
	}
}
