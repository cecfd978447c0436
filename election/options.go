package election

import (
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// DefaultTTL is a campaign's time to live without WithTTL.
const DefaultTTL = 10 * time.Second

// Option is an option of New and Resume.
type Option func(*config)

type config struct {
	holder.Config
	session Session // nil: each candidacy has its own
}

func newConfig(cc grpc.ClientConnInterface, name string) config {
	return config{Config: holder.Config{Kind: kind, Name: name, Prefix: name + "/", TTL: DefaultTTL, Conn: cc, KV: kv.New(cc)}}
}

// WithTTL sets the time to live of a campaign's own lease, in whole seconds from
// 1 s to lease.MaxTTL; servers lengthen one that is below their minimum, 2 s by
// default. It is how long an election stays without a leader when its leader
// dies, and what a leader that is cut off has to notice it in, less a margin
// (lease.Margin). With a session, its own time to live counts, and this is how
// long a candidate may remain whose process dies while it is put.
//
// A leader goes on while etcd's members elect a leader of theirs if that takes less than
// two thirds of the TTL, less the margin. With etcd's default timers it takes 1 to 2 s, and
// sometimes 3 s: a TTL of 3 s can be too short for that, and one of 10 s is not.
func WithTTL(ttl time.Duration) Option {
	return func(c *config) { c.TTL = ttl }
}

// WithSession makes the Election use a lease that the caller has, and keeps. It is
// not revoked. Without the option, or with nil, each Campaign has a lease of its
// own.
func WithSession(s Session) Option {
	return func(c *config) { c.session = s }
}

// WithLeaseService makes the Election use a lease service, such as a client's, and its
// renewal streams, which many can share. Closing it loses the leadership. Without
// the option, or with nil, each Campaign has its own.
func WithLeaseService(l lease.Lease) Option {
	return func(c *config) { c.Leases = l }
}

// WithWatcher makes the Election use a watch service, such as a client's, and its
// streams. Without the option, or with nil, each Campaign and each observation
// has its own, which ends with it.
func WithWatcher(w watch.Watcher) Option {
	return func(c *config) { c.Watcher = w }
}

// WithKV makes the Election use a key-value service, such as one of package
// namespace; then its lease and watch services should be of the same, too. Without
// the option, or with nil, it is the connection's.
func WithKV(store kv.KV) Option {
	return func(c *config) {
		if store != nil {
			c.KV = store
		}
	}
}
