package policy

import (
	"context"
	"errors"
	"runtime"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	grpcbalancer "google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
)

// findings are what a probe has found out so far.
type findings struct {
	there   bool          // it has answered something
	readErr error         // why it has not served the linearizable read; nil when it has
	took    time.Duration // the read, if it was answered

	otherThere, otherServes bool // the same of another member
}

// heard adds the answers to other requests since then. A member that is slow under load
// still answers some.
func (f findings) heard(c *conn, since time.Time) findings {
	at := c.clock.at(since)
	f.there = f.there || c.heard.Load() > at
	if c.agreed.Load() > at {
		f.readErr = nil
	}
	return f
}

// worse reports whether the other member is ahead of the probed one.
func (f findings) worse() bool {
	return f.otherThere && !f.there || f.otherServes && f.readErr != nil
}

// outcome is the result of a whole probe; suspicion.go says what follows from each.
type outcome uint8

const (
	serves       outcome = iota // it has answered the read
	silent                      // it answers nothing, while the other one does or for very long
	cantServe                   // it has not answered the read, and the other one has
	nobodyServes                // neither has: the cluster is in trouble, or this process
)

// outcome returns the result of a probe of c.
func (f findings) outcome(c *conn, now time.Time) outcome {
	switch {
	case !f.there && (f.otherThere || c.silence(now) >= maxSilence):
		return silent
	case f.readErr != nil && f.otherServes:
		return cantServe
	case f.readErr != nil:
		return nobodyServes
	default:
		return serves
	}
}

// question is one of a probe's: whom it asks, and whether it is the read.
type question struct {
	other, read bool
}

// A probe counts its time in turns, so that it can leave out the time in which this process
// was late or bytes moved on the connection. The questions and answers may be queued behind
// those bytes.
const (
	turn = 20 * time.Millisecond
	// maxProbe ends every probe: a connection that carries bytes for so long, but no
	// answer to a small question, is of no use.
	maxProbe = 30 * time.Second
)

// probe asks c, and other if there is one, and waits for the answers, at most for patience
// or until it is stopped. After doubtAfter it calls early with its findings so far, unless
// it has all answers.
//
// In an outage all clients of a cluster probe it at the same time. So each question is sent
// only when those before it have not decided: first the read on c, then, unless it is served
// within a turn, whether c is there and the read on other, and a turn later whether other is there.
// Where answers usually take longer than half a turn, the second step is taken at once.
func (p *policy) probe(c, other *conn, patience time.Duration, stop <-chan struct{}, early func(findings)) findings {
	ctx, cancel := context.WithTimeout(p.ctx, maxProbe)
	defer cancel()
	begun := time.Now()
	type answer struct {
		to    question
		err   error
		start time.Time
	}
	fresh := begun.Add(-proofTime) // an older read may be lost, or wait for a former leader
	if term := c.clock.epoch.Add(time.Duration(c.clock.termSince.Load())); term.After(fresh) {
		fresh = term
	}
	answers := make(chan answer, 4)
	want := 0
	ask := func(to question, on *conn) {
		want++
		p.probes.Go(func() {
			if to.read {
				start, err := on.linearizable(ctx, fresh, maxProbe)
				answers <- answer{to, err, start}
			} else {
				answers <- answer{to, on.checkHealth(ctx), begun}
			}
		})
	}
	f := findings{readErr: errCantRead}
	read, otherRead := false, false // whether they are answered
	asked := 0                      // how many steps of the questions
	next := func() {
		switch asked++; {
		case asked == 1:
			ask(question{read: true}, c)
		case asked == 2:
			if !read {
				ask(question{}, c)
			}
			if other != nil {
				ask(question{other: true, read: true}, other)
			}
		case asked == 3 && other != nil && !f.there && !otherRead:
			ask(question{other: true}, other)
		}
	}
	next()
	if !c.prompt() || other != nil && !other.prompt() {
		next()
	}
	told := false
	var counted, took time.Duration // took is the time to the first answer
	last := begun
	turns := time.NewTicker(turn)
	defer turns.Stop()
	for want > 0 && counted < patience && time.Since(begun) < maxProbe {
		var a answer
		select {
		case <-turns.C:
			// A goroutine that a timer wakes runs at once, while those that an answer
			// passes through queue for a processor. So queue as well.
			runtime.Gosched()
			now := time.Now()
			// Once one question is answered, the other can't be queued for much longer.
			near := f.there && now.Sub(begun) > 2*took
			counted += p.turn(c, near, now.Sub(last), now)
			last = now
			if counted >= time.Duration(asked)*turn {
				next()
			}
			if !told && counted >= doubtAfter {
				told = true
				early(f)
			}
			continue
		case <-p.ctx.Done():
			return f
		case <-stop:
			return f
		case a = <-answers: // there is one for each question, at the latest when ctx ends
			want--
			if !a.to.other && took == 0 {
				took = time.Since(begun)
			}
		}
		on := c
		if a.to.other {
			on = other
		}
		// An error that this process made because the connection is lost is no answer.
		answered := a.err == nil || !on.raw.failed.Load() && (ctx.Err() == nil || status.Code(a.err) != codes.DeadlineExceeded)
		read = read || answered && a.to == question{read: true}
		otherRead = otherRead || answered && a.to == question{other: true, read: true}
		switch {
		case !answered:
		case a.to.other && a.to.read:
			f.otherThere, f.otherServes = true, a.err == nil
		case a.to.other:
			f.otherThere = true
		case a.to.read:
			f.there = true
			f.readErr, f.took = a.err, time.Since(a.start)
		default:
			f.there = true // even if it is NOT_SERVING; see health.go for that
		}
		switch {
		case read && f.readErr == nil:
			return f // whatever the other answers decides nothing
		case asked == 1 && a.err != nil:
			next() // whether other serves is what decides now
		}
	}
	return f
}

// turn returns how much of a turn counts that took elapsed. The time by which it took too
// long is this process's lateness. Nothing counts while bytes move on c, unless near says
// that the missing answer can't be queued behind them.
func (p *policy) turn(c *conn, near bool, elapsed time.Duration, now time.Time) time.Duration {
	if late := elapsed - 2*turn; late > 0 {
		p.clock.book(late, now)
		elapsed = 2 * turn
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.motion.moves(&c.raw, p.clock.at(now)) && !near {
		return 0
	}
	return elapsed
}

// checkHealth is answered from memory. Any answer shows that the member is there, even one
// that says that it does not know the service.
func (c *conn) checkHealth(ctx context.Context) error {
	cc, release := c.rpcs()
	defer release()
	_, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// reading is a linearizable read that is under way on a connection.
type reading struct {
	start time.Time
	done  chan struct{} // closed when err is set
	err   error
}

// linearizable asks c's member for a linearizable read, or waits for the answer to one that is
// under way already and was begun at since or later: in an outage a probe and the gate (gate.go)
// want to know the same. It waits until the read is older than patience, or ctx ends, and
// returns when the read was begun.
func (c *conn) linearizable(ctx context.Context, since time.Time, patience time.Duration) (start time.Time, err error) {
	c.readingMu.Lock()
	r := c.reading
	if r == nil || r.start.Before(since) || time.Since(r.start) >= patience { // it may be lost
		r = &reading{start: time.Now(), done: make(chan struct{})}
		c.reading = r
		c.policy.probes.Go(func() { c.read(r) }) //nolint:contextcheck // it goes on for the others who wait
	}
	c.readingMu.Unlock()
	late := time.NewTimer(patience - time.Since(r.start))
	defer late.Stop()
	select {
	case <-r.done:
		return r.start, r.err
	case <-ctx.Done():
		return r.start, status.FromContextError(ctx.Err()).Err()
	case <-late.C:
		return r.start, status.FromContextError(context.DeadlineExceeded).Err()
	}
}

// read gets the answer for all who wait for r.
func (c *conn) read(r *reading) {
	ctx, cancel := context.WithTimeout(c.gone, maxProbe)
	defer cancel()
	ctx, _ = c.policy.signed(ctx)
	r.err = c.readProbe(ctx, false)
	c.readingMu.Lock()
	if c.reading == r {
		c.reading = nil
	}
	c.readingMu.Unlock()
	close(r.done)
}

// prompt reports whether c's member usually answers within half a turn, as far as is known.
func (c *conn) prompt() bool {
	return time.Duration(c.member.latency.Load()) < turn/2
}

// readProbe is a linearizable read, which takes a leader and a quorum. A refusal for want of a
// user or a permission proves as much, but does not have the term; the member's status does,
// unless it wants a user, too. A member without a leader says so, or, if waits, answers when it has
// one: with an error that says that the leader has changed (server/etcdserver/v3_server.go).
func (c *conn) readProbe(ctx context.Context, waits bool) error {
	cc, release := c.rpcs()
	defer release()
	start := time.Now()
	if !waits {
		ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	}
	resp, err := pb.NewKVClient(cc).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	if err != nil && !proves(err) {
		return err
	}
	if term := resp.GetHeader().GetRaftTerm(); term > c.provenTerm.Load() {
		c.provenTerm.Store(term)
	}
	c.hear(start, true)
	c.observeTerm(resp.GetHeader().GetRaftTerm()) //nolint:contextcheck // what follows is the policy's
	if refusedFor(err) && (code(err) == codes.PermissionDenied || !c.policy.discreet.Load()) {
		of, _ := c.status(ctx)
		c.observeTerm(of.GetRaftTerm()) //nolint:contextcheck // likewise
	}
	return nil
}

// proves reports whether the refusal of a linearizable read proves as much as its answer:
// it comes after consensus, or shows in another way that the member works. Above all this
// is the refusal of a read without a token, since etcd checks the token after it has read
// (server/etcdserver/v3_server.go, Range). The text decides, since proxies change codes.
//
// A member that answers that the leader has changed has learned of the new one while the read
// waited (server/etcdserver/raft.go: notified of a leader that is another one, and of none never).
func proves(err error) bool {
	switch {
	case etcderr.CantServe(err):
		return false
	case leaderChanged(err):
		return true
	}
	switch code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.DataLoss, codes.Unimplemented:
		return true
	default:
		return false
	}
}

func leaderChanged(err error) bool {
	return status.Convert(err).Message() == rpctypes.ErrorDesc(rpctypes.ErrGRPCLeaderChanged)
}

// code is the code of one of etcd's errors by its text, and of others as it came.
func code(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(status.Error(codes.Unknown, status.Convert(err).Message()))); ok {
		return e.Code()
	}
	return status.Code(err)
}

// rpcs returns something to send RPCs on this connection with, until release is called.
func (c *conn) rpcs() (cc grpc.ClientConnInterface, release func()) {
	producer, release := c.sc.GetOrBuildProducer(prober{})
	cc, _ = producer.(grpc.ClientConnInterface)
	return cc, release
}

// prober is a gRPC Producer, the means to send RPCs on one SubConn.
type prober struct{}

func (prober) Build(cc any) (grpcbalancer.Producer, func()) { return cc, func() {} }

// ask sends a linearizable read that counts as a call in flight, so that the watchdog
// notices when it is not answered.
func (p *policy) ask(c *conn) {
	ctx, cancel := context.WithTimeout(c.gone, maxProbe)
	defer cancel()
	r := p.newCall(&attempt.Attempt{Measure: true, Cancel: cancel}, &target{member: c.member, conn: c})
	c.calls.add(r)
	p.watchdog.wake()
	switch err := c.readProbe(ctx, false); {
	case err == nil:
		c.member.observe(time.Since(r.start), false) // no other request tells how quick the member is
	case ctx.Err() != nil:
		c.owe(r)
	case !c.raw.failed.Load():
		c.hear(r.start, false)
		if etcderr.CantServe(err) {
			p.refused(c.member, r.start, err)
		}
	}
	if c.calls.remove(r) && c.retired.Load() {
		p.emptied(c)
	}
	p.free(r)
}
