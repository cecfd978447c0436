package policy

import (
	"context"
	"runtime"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// findings are what a probe has found out so far.
type findings struct {
	there   bool          // it has answered something
	readErr error         // why it has not served the linearizable read; nil when it has
	took    time.Duration // the read, if it was answered
	full    bool          // the read was not sent: it waits for a stream

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
	full                        // it was not asked, and the other one has answered the read
	nobodyServes                // neither has: the cluster is in trouble, or this process
)

// outcome returns the result of a probe of c.
func (f findings) outcome(c *conn, now time.Time) outcome {
	switch {
	case f.readErr != nil && f.full && f.otherServes:
		return full
	case f.readErr != nil && f.full:
		return nobodyServes
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

// A probe counts its time in turns, so that it can leave out the time in which this process
// was late or bytes moved on the connection. The questions and answers may be queued behind
// those bytes.
const (
	turn = 20 * time.Millisecond
	// maxProbe ends every probe: a connection that carries bytes for so long, but no
	// answer to a small question, is of no use.
	maxProbe = 30 * time.Second
)

// probing is a probe under way.
//
// In an outage all clients of a cluster probe it at the same time. So each question is sent
// only when those before it have not decided: first the read on c, then, unless it is served
// within a turn, whether c is there and the read on other, and a turn later whether other is there.
// Where answers usually take longer than half a turn, the second step is taken at once.
type probing struct {
	p        *policy
	c, other *conn     // other may be nil
	begun    time.Time // the probe
	fresh    time.Time // an older read may be lost, or wait for a former leader
	asked    int       // steps
	open     int       // questions without an answer
	answers  chan answer
	found    findings
	served   bool          // c has served the read
	compared bool          // other has answered the read
	took     time.Duration // to c's first answer; 0 before
}

// question is one of a probe's: whom it asks, and whether it is the read.
type question struct {
	other, read bool
}

type answer struct {
	to    question
	err   error
	start time.Time // of the read, which may have been under way before
}

// probe asks c, and other if there is one, and waits for the answers, at most for patience
// or until it is stopped. After the lag of c's member it calls early with its findings so far,
// unless it has all answers.
func (p *policy) probe(c, other *conn, patience time.Duration, stop <-chan struct{}, early func(findings)) findings {
	ctx, cancel := context.WithTimeout(p.ctx, maxProbe)
	defer cancel()
	b := &probing{p: p, c: c, other: other, begun: time.Now(), answers: make(chan answer, 4), found: findings{readErr: errCantRead}}
	b.fresh = b.begun.Add(-proofTime)
	if term := p.clock.epoch.Add(time.Duration(p.clock.termSince.Load())); term.After(b.fresh) {
		b.fresh = term
	}
	b.step(ctx)
	if !c.prompt() || other != nil && !other.prompt() {
		b.step(ctx)
	}
	lag, told := c.member.lag(), false
	var counted time.Duration
	last := b.begun
	turns := time.NewTicker(turn)
	defer turns.Stop()
	for !b.served && b.open > 0 && counted < patience && time.Since(b.begun) < maxProbe {
		select {
		case <-turns.C:
			// A goroutine that a timer wakes runs at once, while those that an answer
			// passes through queue for a processor. So queue as well.
			runtime.Gosched()
			now := time.Now()
			// Once one question is answered, the other can't be queued for much longer.
			near := b.found.there && now.Sub(b.begun) > 2*b.took
			counted += p.turn(c, near, now.Sub(last), now)
			last = now
			if counted >= time.Duration(b.asked)*turn {
				b.step(ctx)
			}
			if !told && counted >= lag {
				told = true
				early(b.found)
			}
		case a := <-b.answers: // there is one for each question, at the latest when ctx ends
			b.take(ctx, a)
		case <-p.ctx.Done():
			return b.found
		case <-stop:
			return b.found
		}
	}
	b.found.full = c.keptBack()
	return b.found
}

// step sends the next questions.
func (b *probing) step(ctx context.Context) {
	switch b.asked++; {
	case b.asked == 1:
		b.ask(ctx, question{read: true})
	case b.asked == 2:
		if !b.found.there {
			b.ask(ctx, question{})
		}
		if b.other != nil {
			b.ask(ctx, question{other: true, read: true})
		}
	case b.asked == 3 && b.other != nil && !b.found.there && !b.compared:
		b.ask(ctx, question{other: true})
	}
}

func (b *probing) ask(ctx context.Context, to question) {
	on := b.on(to)
	b.open++
	b.p.probes.Go(func() {
		a := answer{to: to, start: b.begun}
		if to.read {
			a.start, a.err = on.linearizable(ctx, b.fresh, maxProbe)
		} else {
			a.err = on.checkHealth(ctx)
		}
		b.answers <- a
	})
}

func (b *probing) on(to question) *conn {
	if to.other {
		return b.other
	}
	return b.c
}

// take notes an answer.
func (b *probing) take(ctx context.Context, a answer) {
	b.open--
	if !a.to.other && b.took == 0 {
		b.took = time.Since(b.begun)
	}
	f := &b.found
	// An error that this process made because the connection is lost is no answer.
	answered := a.err == nil || !b.on(a.to).raw.failed.Load() && (ctx.Err() == nil || status.Code(a.err) != codes.DeadlineExceeded)
	switch {
	case !answered:
	case a.to.other && a.to.read:
		b.compared = true
		f.otherThere, f.otherServes = true, a.err == nil
	case a.to.other:
		f.otherThere = true
	case a.to.read:
		b.served = a.err == nil // then whatever the other answers decides nothing
		f.there = true
		f.readErr, f.took = a.err, time.Since(a.start)
	default:
		f.there = true // even if it is NOT_SERVING; see health.go for that
	}
	if a.err != nil && b.asked == 1 { // whether other serves is what decides now
		b.step(ctx)
	}
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

// prompt reports whether c's member usually answers within half a turn, as far as is known.
func (c *conn) prompt() bool {
	return time.Duration(c.member.latency.Load()) < turn/2
}
