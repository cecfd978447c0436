package policy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	grpcbalancer "google.golang.org/grpc/balancer"
)

// conn is one connection to a member: gRPC's SubConn, the bytes below it, and the calls
// on it that wait for an answer.
type conn struct {
	member *member
	sc     grpcbalancer.SubConn
	raw    rawConn
	policy *policy
	clock  *clock // the policy's

	gone   context.Context //nolint:containedctx // ends with the connection's use
	cancel context.CancelFunc

	calls calls // the RPCs under way
	// owed is when the oldest unanswered request was begun: first of those that take
	// consensus, then of the others. It counts as waiting until an answer of its kind
	// comes.
	owed [2]atomic.Int64
	// heard is when the last answer came, agreed when the last one came that took
	// consensus.
	heard, agreed atomic.Int64
	heardLate     atomic.Int64 // clock.late at heard
	// proof is when the latest of the answered requests was begun that took consensus.
	proof atomic.Int64
	// provenTerm is the newest raft term in the answers to the policy's own linearizable reads.
	provenTerm atomic.Uint64
	// failures counts the answers in a row that are vague errors; see picker.go.
	failures atomic.Int32
	// introduced is set when the member has said that it is of the cluster.
	introduced atomic.Bool
	// retired is set when the connection takes no new calls. It is closed when the last
	// call on it has ended.
	retired atomic.Bool

	readingMu sync.Mutex // a leaf
	reading   *reading   // guarded by readingMu; nil when none is under way

	// life ends when streams should leave: the connection is gone, or its member is
	// doubted or demoted. This and the following are guarded by policy.mu.
	life       context.Context //nolint:containedctx // the connection's lifecycle
	end        context.CancelCauseFunc
	leads      context.Context         //nolint:containedctx // life, for as long as the member leads; nil while it does not
	leave      context.CancelCauseFunc // ends leads
	streams    []*streamHealth         // those whose silence is watched
	notServing bool                    // the member says NOT_SERVING
	// probing is set while a probe runs. askAnew ends the probe early, and outdated
	// then starts another one.
	probing  bool
	askAnew  chan<- struct{} // capacity 1
	outdated bool
	rested   time.Time // no probe before, since the last one accused nobody; see rest
	doubted  bool      // see state.go
	proving  bool      // prove runs
	motion   motion
	pulse    pulse
	greeted  bool  // it is a connection, HTTP/2's settings included
	dead     bool  // gRPC can no longer send on it: it is lost, or its server is leaving
	caughtUp int64 // when it first served a read that was begun in the current raft term
	// verdict is why the calls on the connection are not expected to be answered, and
	// verdictAt since when. nil means that they are.
	verdict   error
	verdictAt int64
}

// observeTerm notes the raft term in an answer on c.
func (c *conn) observeTerm(term uint64) {
	if c.clock.observeTerm(term, time.Now()) {
		c.policy.termChanged()
	}
}

func newConn(p *policy, m *member) *conn {
	c := &conn{member: m, policy: p, clock: &p.clock}
	c.raw.clock = c.clock
	c.gone, c.cancel = context.WithCancel(p.ctx)
	c.life, c.end = context.WithCancelCause(c.gone)
	return c
}

// oldest returns when the oldest request was begun that should be answered soon.
func (c *conn) oldest() (at int64, ok bool) {
	for _, k := range awaited {
		if t, _, waits := c.calls.oldest(k); waits && (!ok || t < at) {
			at, ok = t, true
		}
	}
	for i, answered := range []*atomic.Int64{&c.agreed, &c.heard} {
		if t := c.owed[i].Load(); t > answered.Load() && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// silence returns how long the oldest request has waited, or the time since the last
// answer if that is shorter.
func (c *conn) silence(now time.Time) time.Duration {
	since, ok := c.oldest()
	if !ok {
		return 0
	}
	late := c.clock.late.Load() // unknown for a request that has ended
	for _, k := range awaited {
		if t, then, waits := c.calls.oldest(k); waits && t == since {
			late = then
		}
	}
	if heard := c.heard.Load(); heard >= since {
		since, late = heard, c.heardLate.Load()
	}
	return c.clock.waited(since, late, now)
}

// owe notes a request that has ended unanswered.
func (c *conn) owe(r *call) {
	owed, answered := &c.owed[0], &c.agreed
	if r.attempt.AnyMember {
		owed, answered = &c.owed[1], &c.heard
	}
	if old := owed.Load(); old <= answered.Load() {
		owed.CompareAndSwap(old, r.at) // a later one need not be noted
	}
}

// hear notes an answer to a request that was begun at start. agreement says that the
// answer took consensus.
func (c *conn) hear(start time.Time, agreement bool) {
	t := time.Now()
	now := c.clock.at(t)
	c.heard.Store(now)
	c.heardLate.Store(c.policy.watchdog.lateness(t))
	if !agreement {
		return
	}
	c.agreed.Store(now)
	began := c.clock.at(start)
	for old := c.proof.Load(); began > old; old = c.proof.Load() {
		if c.proof.CompareAndSwap(old, began) {
			return
		}
	}
}

// provenSince reports whether a request that took consensus was answered and was not
// begun before t.
func (c *conn) provenSince(t time.Time) bool {
	return c.proof.Load() >= c.clock.at(t)
}

// rpcs returns something to send RPCs on this connection with, until release is called.
func (c *conn) rpcs() (cc grpc.ClientConnInterface, release func()) {
	producer, release := c.sc.GetOrBuildProducer(prober{})
	cc, _ = producer.(grpc.ClientConnInterface)
	return cc, release
}

// opening sends unary RPCs, and sets opened, unless it is nil, when one of them has a stream. A
// server limits how many there are on a connection (RFC 9113, section 5.1.2), and gRPC keeps the
// others back.
type opening struct {
	grpc.ClientConnInterface

	opened *atomic.Bool
}

// Invoke implements grpc.ClientConnInterface.
func (o opening) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	s, err := o.NewStream(ctx, &grpc.StreamDesc{}, method, opts...)
	if err != nil {
		return err
	}
	if o.opened != nil {
		o.opened.Store(true)
	}
	if err := s.SendMsg(req); err != nil {
		return err
	}
	return s.RecvMsg(resp)
}

// prober is a gRPC Producer, the means to send RPCs on one SubConn.
type prober struct{}

func (prober) Build(cc any) (grpcbalancer.Producer, func()) { return cc, func() {} }
