package lock

import (
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// DefaultTTL is a Mutex's time to live without WithTTL.
const DefaultTTL = 10 * time.Second

// Option is an option of New and NewPool. What it says of a Mutex applies to all those of a
// Pool together.
type Option func(*config)

type config struct{ holder.Config }

// newConfig is the configuration of call, without a name.
func newConfig(call string, cc grpc.ClientConnInterface, opts []Option) (config, error) {
	c := config{holder.Config{Kind: kind, TTL: DefaultTTL, Conn: cc, KV: kv.New(cc)}}
	if err := misuse.Options(call, opts); err != nil {
		return c, err
	}
	for _, o := range opts {
		o(&c)
	}
	return c, holder.CheckTTL("lock: WithTTL", c.TTL)
}

func (c *config) setName(name string) { c.Name, c.Prefix = name, name+"/" }

// WithTTL sets the time to live of the lock's lease, in whole seconds from 1 s to
// lease.MaxTTL; servers lengthen one that is below their minimum, 2 s by default.
// It is how long the lock stays taken when its holder dies, and what a holder
// that is cut off has to notice it in, less a margin (lease.Margin).
//
// A holder goes on while etcd's members elect a leader if that takes less than two
// thirds of the TTL, less the margin. With etcd's default timers it takes 1 to 2 s, and
// sometimes 3 s: a TTL of 3 s can be too short for that, and one of 10 s is not.
func WithTTL(ttl time.Duration) Option {
	return func(c *config) { c.TTL = ttl }
}

// WithLeaseService makes the Mutex use a lease service, such as a client's, and its
// renewal streams, which many Mutexes can share. Closing it makes the lock lost.
// Without the option, or with nil, each Lock has its own, which Unlock closes.
func WithLeaseService(l lease.Lease) Option {
	return func(c *config) { c.Leases = l }
}

// WithWatcher makes the Mutex use a watch service, such as a client's, and its streams.
// Without the option, or with nil, each Lock has its own, which Unlock closes.
func WithWatcher(w watch.Watcher) Option {
	return func(c *config) { c.Watcher = w }
}
