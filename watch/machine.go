package watch

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// machine is the state of all watches and their streams. One goroutine, run,
// owns it and never waits for anything but its select: streams bring messages,
// the manager brings commands, and what goes out is left in a stream's outbox or
// a watcher's buffer. It ends with its last watcher, and the streams with it.
type machine struct {
	m        *manager
	cfg      config
	ctx      context.Context //nolint:containedctx // the lifecycle of the streams: that of run
	cancel   context.CancelFunc
	messages chan message // from the streams; unbuffered, so that what a stream has not handed over waits in its flow control

	lanes    []*lane
	shares   map[shareKey]*share
	wide     []*share   // those that may cover others
	later    []*watcher // whose ranges are settling
	watchers int
}

// message is what a stream, or a read on its behalf, has to tell the machine.
type message struct {
	st   *stream
	kind messageKind
	resp *pb.WatchResponse
	head *pb.ResponseHeader // msgIdentity
	err  error              // msgLost, msgIdentity
}

type messageKind uint8

const (
	msgOpened messageKind = iota
	msgResponse
	msgLost
	msgIdentity
)

func newMachine(m *manager) *machine {
	x := &machine{m: m, cfg: m.cfg, messages: make(chan message), shares: make(map[shareKey]*share)}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	return x
}

func (x *machine) run() {
	defer x.cancel()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		commands, closed, done := x.m.take(x.watchers == 0)
		if done {
			return
		}
		for _, c := range commands {
			x.command(c)
		}
		if closed {
			x.endAll(ErrClosed)
		}
		if x.watchers == 0 {
			continue
		}
		now := time.Now()
		if wait := x.tick(now).Sub(now); wait > 0 {
			timer.Reset(wait)
		} else {
			continue
		}
		select {
		case <-x.m.wake:
		case msg := <-x.messages:
			x.receive(msg)
		case <-timer.C:
		}
	}
}

func (x *machine) command(c command) {
	switch c.kind {
	case cmdAdd:
		x.watchers++
		x.enroll(c.w)
		x.laneFor(c.w).join(c.w)
		x.want(c.w)
	case cmdEnd:
		x.end(c.w, c.err, true)
	case cmdDrained:
		switch {
		case c.w.phase == paused:
			x.seclude(c.w)
			x.want(c.w)
		case c.w.held():
			x.release(c.w)
		case c.w.late:
			c.w.group.catchUp(c.w)
		}
	case cmdTally:
		c.tally <- x.tally(time.Now())
	case cmdProgress:
		for _, l := range x.lanes {
			l.ask()
			if st := l.current; st != nil && st.opened {
				x.askProgress(st)
			}
		}
	}
}

// end takes a watcher out for good.
func (x *machine) end(w *watcher, cause error, drop bool) {
	if w.phase == ended {
		return
	}
	switch g := w.group; {
	case w.carries():
		x.endGroup(w, cause, drop, false)
		return
	case g != nil:
		x.part(w, ended)
		w.lane.leave(w)
	default:
		x.off(w, ended)
		w.lane.leave(w)
	}
	x.withdraw(w)
	x.watchers--
	if w.stop() {
		x.m.wg.Done()
	}
	w.finish(cause, drop)
	w.release()
}

func (x *machine) endAll(cause error) {
	for _, l := range x.lanes {
		x.endLane(l, cause, true)
	}
}

func (x *machine) endLane(l *lane, cause error, drop bool) {
	for len(l.watchers) > 0 {
		if w := l.watchers[len(l.watchers)-1]; w.carries() {
			x.endGroup(w, cause, drop, true)
		} else {
			x.end(w, cause, drop)
		}
	}
}
