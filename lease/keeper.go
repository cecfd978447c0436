package lease

import (
	"time"

	"github.com/getcd/getcd/internal/clock"
)

const (
	// keepAliveBuffer is how many answers a KeepAlive channel holds, as many as
	// clientv3's.
	keepAliveBuffer = 16

	minMargin = 100 * time.Millisecond
	maxMargin = 5 * time.Second
)

// Margin is how long before the end of a time to live a Keeper gives the lease
// up: ttl/10, at least 100 ms, at most 5 s, but never below ttl/1000, which is
// twice the rate by which a disciplined clock may be off. The package comment
// argues the numbers.
func Margin(ttl time.Duration) time.Duration {
	return max(minMargin, min(ttl/10, maxMargin), ttl/1000)
}

// Keeper keeps one lease alive and knows until when it is proven to live. Make
// one with Lease.Keep. Its methods are safe for concurrent use.
type Keeper struct {
	m    *manager
	e    *entry
	done chan struct{}

	// Guarded by m.mu.
	sink chan *KeepAliveResponse // KeepAlive's channel; nil for Keep
	err  error
	stop func() bool // of the context's AfterFunc
}

// ID is the lease that is kept.
func (k *Keeper) ID() ID { return k.e.id }

// Done is closed when the lease is no longer kept: it can no longer be proven
// to live, it is gone, the context given to Keep has ended, or Close was called.
// In the first case it closes before the server can let the lease expire.
func (k *Keeper) Done() <-chan struct{} { return k.done }

// Err is nil while the lease is proven to live, and then the cause: ErrExpired,
// ErrRevoked, ErrClosed, rpctypes.ErrLeaseNotFound (the server no longer has
// it), rpctypes.ErrPermissionDenied, or the error of the context given to Keep;
// errors.Is finds them. It looks at the clock: after the deadline it is
// ErrExpired even if this process has just been frozen and the timer that
// closes Done is late, in which case it closes Done itself.
func (k *Keeper) Err() error {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if k.err == nil {
		k.m.expireLocked(k.e, clock.Now())
	}
	return k.err
}

// Deadline is the moment until which the lease is proven to live: the sending
// of the last acknowledged renewal, plus the TTL, minus the margin. Every
// renewal moves it, and on Linux every suspension of the machine moves it nearer, so ask
// again after one, or ask Err. It carries a monotonic clock reading, so time.Until is
// right whatever happens to the wall clock.
func (k *Keeper) Deadline() time.Time {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	return clock.Timer(k.e.deadline)
}

// TTL is the lease's time to live as the last acknowledged renewal told it.
func (k *Keeper) TTL() time.Duration {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	return k.e.ttl
}

// Close stops renewing, unless another keeper of the lease goes on. It does not
// revoke the lease, which lives on until its TTL has passed. Done is closed and
// Err is ErrClosed when Close returns, unless the keeper had ended before. It
// may be called more than once, and always returns nil.
func (k *Keeper) Close() error {
	k.m.release(k, ErrClosed)
	return nil
}

// endLocked ends the keeper, unless it has ended already.
func (k *Keeper) endLocked(cause error) {
	if k.err != nil {
		return
	}
	k.err = cause
	close(k.done)
	if k.sink != nil {
		close(k.sink)
	}
	if k.stop() {
		k.m.wg.Done()
	}
}
