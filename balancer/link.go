package balancer

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/resolver"
)

// link is one connection to a member: grpc's SubConn for it, the bytes below
// it, and what on it waits for an answer.
type link struct {
	sc     balancer.SubConn
	wire   wire
	policy *policy
	clock  *clock // the policy's

	gone    context.Context //nolint:containedctx // ends with the connection's use
	abandon context.CancelFunc

	// reads and writes are the requests that wait for an answer.
	reads, writes waiting
	// owed are the slots of the oldest requests that were forsaken, of those that
	// take an agreement of the members and of the others; they count as waiting
	// until an answer of that kind comes.
	owed [2]atomic.Int64
	// heard and agreed are the slots in which the last answer came, and the last
	// that took an agreement of the members.
	heard, agreed atomic.Int64
	// proof is when the youngest request was begun that took an agreement of the
	// members and was answered, in nanoseconds of the clock.
	proof atomic.Int64

	// life ends when streams should no longer be here: the connection is gone,
	// or doubted. Guarded by policy.mu, as are the others.
	life   context.Context //nolint:containedctx // the connection's lifecycle
	end    context.CancelCauseFunc
	flows  []*flow // the streams that are watched over
	unwell bool    // the member says NOT_SERVING
	// probing is set while the member is probed; askAnew ends that, and outdated has
	// it asked again then.
	probing  bool
	askAnew  chan<- struct{} // capacity 1
	outdated bool
	doubted  bool
	proving  bool
}

// clock is the time since a policy began, and the cluster's raft term, which
// dates what members know of each other.
type clock struct {
	epoch time.Time // slot 0 begins

	term      atomic.Uint64 // the newest raft term that an answer told
	termSince atomic.Int64  // when that was first told, as slot number
}

const (
	slotTime = 25 * time.Millisecond
	slots    = 256 // 6.4 s: a request that is older is taken for a younger one
)

// slotAt is the slot of a moment in the policy's life.
func (c *clock) slotAt(t time.Time) int64 { return int64(t.Sub(c.epoch) / slotTime) }

// since is how long before now slot began.
func (c *clock) since(slot int64, now time.Time) time.Duration {
	return time.Duration(c.slotAt(now)-slot) * slotTime
}

// observeTerm notes the raft term that an answer told, and reports whether it is
// a new one.
func (c *clock) observeTerm(term uint64, now time.Time) bool {
	for old := c.term.Load(); term > old; old = c.term.Load() {
		if c.term.CompareAndSwap(old, term) {
			if old != 0 {
				c.termSince.Store(c.slotAt(now))
			}
			return true
		}
	}
	return false
}

// observeTerm notes the raft term that an answer on l told.
func (l *link) observeTerm(term uint64) {
	if l.clock.observeTerm(term, time.Now()) {
		l.policy.termChanged()
	}
}

func newLink(p *policy) *link {
	l := &link{policy: p, clock: &p.clock}
	l.gone, l.abandon = context.WithCancel(p.ctx)
	l.life, l.end = context.WithCancelCause(l.gone)
	return l
}

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

// kind is where a request of a is counted.
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
	since, ok := l.oldest(l.clock.slotAt(now))
	if !ok {
		return 0
	}
	return l.clock.since(max(since, l.heard.Load()), now)
}

// oldest returns the slot of the oldest request that waits.
func (l *link) oldest(now int64) (slot int64, ok bool) {
	slot = now + 1
	for _, w := range []*waiting{&l.reads, &l.writes} {
		if s, waits := w.oldest(now); waits && s < slot {
			slot, ok = s, true
		}
	}
	for i, answered := range []*atomic.Int64{&l.agreed, &l.heard} {
		if s := l.owed[i].Load(); s > answered.Load() && s < slot {
			slot, ok = s, true
		}
	}
	return slot, ok
}

// owe notes a request of a that was begun in slot, and forsaken.
func (l *link) owe(a *Attempt, slot int64) {
	owed, answered := &l.owed[0], &l.agreed
	if a.AnyMember {
		owed, answered = &l.owed[1], &l.heard
	}
	if old := owed.Load(); old <= answered.Load() {
		owed.CompareAndSwap(old, slot) // a younger one need not be noted
	}
}

// hear notes an answer to a request that was begun at start; agreement says that
// it took one of the members.
func (l *link) hear(start time.Time, agreement bool) {
	now := l.clock.slotAt(time.Now())
	l.heard.Store(now)
	if !agreement {
		return
	}
	l.agreed.Store(now)
	began := int64(start.Sub(l.clock.epoch))
	for old := l.proof.Load(); began > old; old = l.proof.Load() {
		if l.proof.CompareAndSwap(old, began) {
			return
		}
	}
}

// provenSince reports whether an agreement was reached over a request that was
// not begun before t.
func (l *link) provenSince(t time.Time) bool {
	return l.proof.Load() >= int64(t.Sub(l.clock.epoch))
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
