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
	there   bool  // some answer came
	readErr error // why it has not served the linearizable read; nil when it has

	otherThere, otherServes bool // the same of another member
}

// heard adds what requests have shown since: a member that is slow under load
// answers others meanwhile.
func (f findings) heard(c *conn, since time.Time) findings {
	at := c.clock.at(since)
	f.there = f.there || c.heard.Load() > at
	if c.agreed.Load() > at {
		f.readErr = nil
	}
	return f
}

// worse reports whether the other member is the better one to ask.
func (f findings) worse() bool {
	return f.otherThere && !f.there || f.otherServes && f.readErr != nil
}

// outcome is what the findings of a whole probe come to.
type outcome uint8

const (
	serves       outcome = iota // its slow requests are left alone; or it has lost a write
	silent                      // it answers nothing, and that is not everybody's way
	cantServe                   // it is there, and another one can
	nobodyServes                // the cluster is in trouble, or this process
)

// outcome is that of a probe of c.
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

// question is what a probe asks, and of whom.
type question struct {
	other, read bool
}

// A probe measures its patience in turns, so that only time counts in which this
// process ran as it should, and in which the probed connection stood still: where
// bytes move, the questions and their answers may be queued behind them.
const (
	turn = 20 * time.Millisecond
	// maxProbe ends a probe all the same: what carries bytes for so long, and no
	// answer to a small question, is of no use.
	maxProbe = 30 * time.Second
)

// probe asks c, and other if there is one, and waits for patience at most, or
// until it is stopped. It tells early what it knows after doubtAfter, unless
// it knows all by then.
func (p *policy) probe(c, other *conn, patience time.Duration, stop <-chan struct{}, early func(findings)) findings {
	ctx, cancel := context.WithTimeout(p.ctx, maxProbe)
	defer cancel()
	type answer struct {
		to  question
		err error
	}
	answers := make(chan answer, 4)
	want := 0
	ask := func(to question, on *conn) {
		want++
		p.probes.Go(func() {
			if to.read {
				answers <- answer{to, on.readProbe(ctx)}
			} else {
				answers <- answer{to, on.checkHealth(ctx)}
			}
		})
	}
	ask(question{}, c)
	ask(question{read: true}, c)
	if other != nil {
		ask(question{other: true}, other)
		ask(question{other: true, read: true}, other)
	}
	f := findings{readErr: errCantRead}
	told := false
	var counted, took time.Duration // took: until the first answer
	begun := time.Now()
	last := begun
	turns := time.NewTicker(turn)
	defer turns.Stop()
	for want > 0 && counted < patience && time.Since(begun) < maxProbe {
		var a answer
		select {
		case <-turns.C:
			// A timer's goroutine runs at once, those that an answer goes through have to
			// queue for a processor: do likewise.
			runtime.Gosched()
			now := time.Now()
			// Once one question is answered the other is not queued for long.
			near := f.there && now.Sub(begun) > 2*took
			counted += p.turn(c, near, now.Sub(last), now)
			last = now
			if !told && counted >= doubtAfter {
				told = true
				early(f)
			}
			continue
		case <-p.ctx.Done():
			return f
		case <-stop:
			return f
		case a = <-answers: // each ends with ctx at the latest
			want--
			if !a.to.other && took == 0 {
				took = time.Since(begun)
			}
		}
		on := c
		if a.to.other {
			on = other
		}
		// An error that was made here, since the connection is lost, is no answer.
		answered := a.err == nil || !on.raw.failed.Load() && (ctx.Err() == nil || status.Code(a.err) != codes.DeadlineExceeded)
		switch {
		case !answered:
		case a.to.other && a.to.read:
			f.otherThere, f.otherServes = true, a.err == nil
		case a.to.other:
			f.otherThere = true
		case a.to.read:
			f.there = true
			f.readErr = a.err
		default:
			f.there = true // NOT_SERVING, too, and what is on it is answered later: health.go
		}
	}
	return f
}

// turn returns how much of a turn that took elapsed counts: what it took too long is
// this process's lateness, and while bytes move on c it does not count, unless the
// answer that is waited for can't be queued behind them.
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

// checkHealth is answered from memory by a member that runs. Any answer shows
// that it is there, that it does not know the service as well.
func (c *conn) checkHealth(ctx context.Context) error {
	cc, release := c.rpcs()
	defer release()
	_, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// readProbe is served by a member that has a leader and a quorum. It has no token.
func (c *conn) readProbe(ctx context.Context) error {
	cc, release := c.rpcs()
	defer release()
	start := time.Now()
	ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	resp, err := pb.NewKVClient(cc).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	if err != nil && !proves(err) {
		return err
	}
	if err == nil {
		c.observeTerm(resp.GetHeader().GetRaftTerm()) //nolint:contextcheck // what follows is the policy's
	}
	c.hear(start, true)
	return nil
}

// proves reports whether a refusal of a linearizable read comes after the agreement
// that is asked about, or shows as well that the member works: that it has no token,
// above all, which etcd looks at when it has read (server/etcdserver/v3_server.go,
// Range). The refusal is told by its text, since proxies change its code.
func proves(err error) bool {
	if etcderr.CantServe(err) {
		return false
	}
	code := status.Code(err)
	if e, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(status.Error(codes.Unknown, status.Convert(err).Message()))); ok {
		code = e.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.DataLoss, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// rpcs is the means to send RPCs on the connection, until release is called.
func (c *conn) rpcs() (cc grpc.ClientConnInterface, release func()) {
	producer, release := c.sc.GetOrBuildProducer(prober{})
	cc, _ = producer.(grpc.ClientConnInterface)
	return cc, release
}

// prober is a Producer that hands out the means to send RPCs on one SubConn.
type prober struct{}

func (prober) Build(cc any) (grpcbalancer.Producer, func()) { return cc, func() {} }

// ask is a read that counts as a request under way.
func (p *policy) ask(c *conn) {
	ctx, cancel := context.WithTimeout(c.gone, maxProbe)
	defer cancel()
	r := p.newCall(&attempt.Attempt{Measure: true, Cancel: cancel}, &target{member: c.member, conn: c})
	c.calls.add(r)
	p.watchdog.wake()
	switch err := c.readProbe(ctx); {
	case err == nil:
		c.member.observe(time.Since(r.start), false) // how quick it is when nothing else tells
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
