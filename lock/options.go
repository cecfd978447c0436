package lock

import (
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// DefaultTTL is a Mutex's time to live without WithTTL.
const DefaultTTL = 10 * time.Second

// Option is an option of New.
type Option func(*config)

type config struct{ holder.Config }

func newConfig(cc grpc.ClientConnInterface, name string) config {
	return config{holder.Config{Kind: kind, Name: name, Prefix: name + "/", TTL: DefaultTTL, Conn: cc, KV: kv.New(cc)}}
}

// WithTTL sets the time to live of the lock's lease, in whole seconds from 1 s to
// lease.MaxTTL; servers lengthen one that is below their minimum, 2 s by default.
// It is how long the lock stays taken when its holder dies, and what a holder
// that is cut off has to notice it in, less a margin (lease.Margin).
func WithTTL(ttl time.Duration) Option {
	return func(c *config) { c.TTL = ttl }
}

// WithLeaseService makes the Mutex use a lease service, such as a client's, and its
// renewal streams, which many Mutexes can share. Closing it makes the lock lost.
// Without the option, or with nil, each Lock has its own, which Unlock closes.
func WithLeaseService(l lease.Lease) Option {
	return func(c *config) { c.Leases = l }
}
