package client

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/internal/backoff"
)

// "Too many requests" is a member's word that it has more to apply than it can, and
// to ask again and again makes that worse. So what was refused for it is sent again
// after longer pauses, and all calls of a Conn together send no more of it than they
// have earned, by requests that succeed and by time. The first is as gRPC throttles
// retries (gRFC A6); the second lets a client go on whose every request is refused.
const (
	// maxTurns is how many are saved up, and there to begin with.
	maxTurns = 100
	// callsPerTurn is how many requests that succeed earn one.
	callsPerTurn = 10
	// turnTime is in how much time one is earned.
	turnTime = 100 * time.Millisecond
)

var overloadPauses = backoff.Exponential{First: 100 * time.Millisecond, Max: 5 * time.Second}

// turns counts what may be sent again to servers with too much to do, in parts of
// callsPerTurn.
type turns struct {
	parts atomic.Int64

	closed chan struct{}
	close  func() // ends all pauses; may be called again

	mu    sync.Mutex
	since time.Time // up to when time has earned
}

func newTurns() *turns {
	t := &turns{since: time.Now(), closed: make(chan struct{})}
	t.close = sync.OnceFunc(func() { close(t.closed) })
	t.parts.Store(maxTurns * callsPerTurn)
	return t
}

// earn is told of a request that succeeded.
func (t *turns) earn() { t.add(1) }

func (t *turns) add(parts int64) {
	if n := t.parts.Load(); n < maxTurns*callsPerTurn {
		t.parts.Add(min(parts, maxTurns*callsPerTurn-n))
	}
}

// take reports whether a request may be sent again now.
func (t *turns) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if passed := time.Since(t.since); passed >= turnTime {
		t.since = t.since.Add(passed - passed%turnTime)
		t.add(callsPerTurn * min(int64(passed/turnTime), maxTurns))
	}
	if t.parts.Load() < callsPerTurn {
		return false
	}
	t.parts.Add(-callsPerTurn)
	return true
}

// await waits for a turn, with pauses that grow, after the given number of them. It
// returns how many there have been, and whether ctx and the Conn lived through it.
func (t *turns) await(ctx context.Context, pauses int) (_ int, alive bool) {
	for {
		pause := time.NewTimer(overloadPauses.Pause(pauses))
		pauses++
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return pauses, false
		case <-t.closed:
			pause.Stop()
			return pauses, false
		}
		if t.take() {
			return pauses, true
		}
	}
}
