// Package testconn has connections for tests of single services that need failover but
// cannot use package client.
package testconn

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
)

// Rotation is a failover connection as simple as it gets: it opens each stream on
// the next of its members, and sends a unary call to one after the other, from
// the first, until it succeeds. It is safe for concurrent use.
type Rotation struct {
	conns []*grpc.ClientConn

	mu   sync.Mutex
	next int
}

// Rotate connects a Rotation to the members. An error fails the test. The connections are
// closed when the test ends.
func Rotate(tb etcdtest.TB, members ...*etcdtest.Member) *Rotation {
	tb.Helper()
	r := &Rotation{}
	for _, m := range members {
		r.conns = append(r.conns, m.Conn(tb))
	}
	return r
}

// Invoke implements grpc.ClientConnInterface.
func (r *Rotation) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var err error
	for _, conn := range r.conns {
		if err = conn.Invoke(ctx, method, args, reply, opts...); err == nil {
			return nil
		}
	}
	return err
}

// NewStream implements grpc.ClientConnInterface.
func (r *Rotation) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	r.mu.Lock()
	conn := r.conns[r.next%len(r.conns)]
	r.next++
	r.mu.Unlock()
	return conn.NewStream(ctx, desc, method, opts...)
}
