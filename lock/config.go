package lock

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/lease"
)

// Config is how a Locker keeps a lock. All of it must fit together: see
// Config.Validate.
type Config struct {
	// TTL is the time to live of a lock's lease, in whole seconds up to
	// lease.MaxTTL. Zero means 8 s. It is also how long a lock stays taken
	// when its holder dies.
	TTL time.Duration
	// Heartbeat is the time from one renewal to the next. Zero means 1 s.
	Heartbeat time.Duration
	// Retries is how many renewals may fail, after a first one that failed,
	// before the lock is given up. Zero means 2; NoRetries means none.
	Retries int
	// RequestTimeout bounds each request: a grant, a renewal, an unlock, and the
	// wait for a lock that another one holds. Zero means 1 s.
	RequestTimeout time.Duration
	// RetryInterval is the time between two tries to get a lock that another one
	// holds; a random part of it, up to a half, is left out, so that waiters do
	// not run in step. Zero means 1 s.
	RetryInterval time.Duration
}

// NoRetries is for Config.Retries: give up after the first failed renewal.
const NoRetries = -1

func (c Config) withDefaults() Config {
	c.TTL = cmp.Or(c.TTL, 8*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, time.Second)
	c.Retries = cmp.Or(c.Retries, 2)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, time.Second)
	c.RetryInterval = cmp.Or(c.RetryInterval, time.Second)
	return c
}

// tries is 1 + retries, cut where it makes no difference any more.
func (c Config) tries() int64 {
	return int64(min(max(c.Retries, 0), math.MaxInt32-1) + 1)
}

// GiveUp is how long after the sending of the last acknowledged renewal the
// holder gives the lock up:
//
//	(1 + retries) × (heartbeat + request timeout)
//
// which is the time in which that many renewals fail, each after its heartbeat
// interval and with its whole timeout.
func (c Config) GiveUp() time.Duration {
	c = c.withDefaults()
	each := c.Heartbeat + c.RequestTimeout
	if c.Heartbeat > 0 && (each < 0 || int64(each) > math.MaxInt64/c.tries()) {
		return math.MaxInt64
	}
	return time.Duration(c.tries() * int64(each))
}

// Validate returns an error that names what is wrong and what would be right.
// Above all the holder must know that it has lost the lock before another one
// can get it, which is when the lease's TTL has passed since the last renewal
// that the server saw:
//
//	(1 + retries) × (heartbeat + request timeout) < ttl − margin
//
// The margin is lease.Margin(ttl), for the rates of clocks and the time that it
// takes to notice.
func (c Config) Validate() error {
	if c.Retries < NoRetries {
		return fmt.Errorf("lock: Config.Retries is %d; it must be 0 (which means 2), more, or NoRetries (-1)", c.Retries)
	}
	c = c.withDefaults()
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"TTL", c.TTL},
		{"Heartbeat", c.Heartbeat},
		{"RequestTimeout", c.RequestTimeout},
		{"RetryInterval", c.RetryInterval},
	} {
		if f.value < 0 {
			return fmt.Errorf("lock: Config.%s is %v; it must not be negative", f.name, f.value)
		}
	}
	if err := holder.CheckTTL("lock: Config.TTL", c.TTL); err != nil {
		return err
	}
	margin := lease.Margin(c.TTL)
	// Divided rather than multiplied, so that nothing overflows.
	if each := time.Duration(int64(c.TTL-margin) / c.tries()); c.Heartbeat >= each-c.RequestTimeout {
		return fmt.Errorf("lock: two could hold the lock at once: (1 + retries) × (heartbeat + request timeout) must be < ttl − margin, but (1 + %d) × (%v + %v) = %v is not < %v − %v = %v; make the TTL longer, or the others less",
			c.tries()-1, c.Heartbeat, c.RequestTimeout, c.GiveUp(), c.TTL, margin, c.TTL-margin)
	}
	return nil
}
