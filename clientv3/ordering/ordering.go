// Package ordering mirrors go.etcd.io/etcd/client/v3/ordering: reads that do not
// go back in time. It is getcd's package ordering with clientv3's interfaces.
package ordering

import (
	"errors"
	"sync"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/middleware/ordering"
)

// ErrNoGreaterRev is returned if no member has reached the revision that was
// already seen.
var ErrNoGreaterRev = errors.New("etcdclient: no cluster members have a revision higher than the previously received revision")

// OrderViolationFunc decides what to do about a response that is older than the
// revision already seen. If it returns nil, the request is sent again; otherwise
// the call returns the error.
type OrderViolationFunc func(op clientv3.Op, resp clientv3.OpResponse, prevRev int64) error

// NewKV returns a key-value service whose reads do not go back in time. If the
// service uses a client's connection, the repeated request goes to another
// member.
func NewKV(kv clientv3.KV, orderViolationFunc OrderViolationFunc) clientv3.KV {
	opts := []ordering.Option{ordering.WithViolation(ordering.ViolationFunc(orderViolationFunc))}
	if n, ok := kv.(interface{ Native() *client.Client }); ok && n.Native() != nil {
		opts = append(opts, ordering.WithRetry(n.Native()))
	}
	return clientv3.FromKV(ordering.NewKV(below.KV(kv), opts...), kv)
}

// NewOrderViolationSwitchEndpointClosure retries up to five times per endpoint.
// If no response has reached the revision by then, it returns ErrNoGreaterRev.
func NewOrderViolationSwitchEndpointClosure(c *clientv3.Client) OrderViolationFunc {
	var mu sync.Mutex
	var seen int64
	var asked int
	return func(_ clientv3.Op, _ clientv3.OpResponse, prevRev int64) error {
		mu.Lock()
		defer mu.Unlock()
		if prevRev != seen {
			seen, asked = prevRev, 0
		}
		if asked > 5*len(c.Endpoints()) {
			return ErrNoGreaterRev
		}
		asked++
		return nil
	}
}
