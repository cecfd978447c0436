// Package hostile loses the answers to transactions, and sends copies of them later.
package hostile

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
)

// One in lostOf answers is lost, and a copy of one in copiedOf transactions comes up to latest
// after it.
const (
	lostOf   = 8
	copiedOf = 4
	latest   = 4 * time.Second
)

// Conn is a connection for what is checked to lie on. Make one with New.
type Conn struct {
	grpc.ClientConnInterface
	twice  bool
	mangle func(*pb.TxnRequest)
	stop   chan struct{} // closed when there are to be no more copies
	wg     sync.WaitGroup
	lost   atomic.Int64
	copies atomic.Int64
}

// New returns a Conn whose connection Over sets. With twice a copy may come of everything, as it
// may of what is sent several times. Without it only what was not answered may come late. mangle,
// if not nil, breaks each transaction before it is sent, to show that the check notices.
func New(twice bool, mangle func(*pb.TxnRequest)) *Conn {
	return &Conn{twice: twice, mangle: mangle, stop: make(chan struct{})}
}

// Over puts the Conn above cc. It is a client.Middleware.
func (h *Conn) Over(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
	h.ClientConnInterface = cc
	return h
}

// Close ends the copies, and returns when the last one has ended. The connection below stays.
func (h *Conn) Close() {
	close(h.stop)
	h.wg.Wait()
}

// Counts returns how many answers were lost, and how many copies were sent.
func (h *Conn) Counts() (lost, copies int64) { return h.lost.Load(), h.copies.Load() }

// Invoke implements grpc.ClientConnInterface.
func (h *Conn) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	r, ok := req.(*pb.TxnRequest)
	if !ok || method != pb.KV_Txn_FullMethodName {
		return h.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
	}
	if h.mangle != nil {
		r = proto.CloneOf(r)
		h.mangle(r)
	}
	lost := rand.IntN(lostOf) == 0
	if lost && !h.twice && rand.IntN(2) == 0 {
		h.later(r) //nolint:contextcheck // it outlives the call
		return h.lose()
	}
	err := h.ClientConnInterface.Invoke(ctx, method, r, reply, opts...)
	// There is no copy of what was certainly not sent.
	if h.twice && (err == nil || client.IsAmbiguous(err)) && rand.IntN(copiedOf) == 0 {
		h.later(r) //nolint:contextcheck // likewise
	}
	if err == nil && lost {
		return h.lose()
	}
	return err
}

func (h *Conn) lose() error {
	h.lost.Add(1)
	return status.Error(codes.Unavailable, "the answer is lost")
}

func (h *Conn) later(r *pb.TxnRequest) {
	copied := proto.CloneOf(r)
	h.wg.Go(func() { h.again(copied) })
}

// again sends a copy after a while.
func (h *Conn) again(r *pb.TxnRequest) {
	select {
	case <-h.stop:
		return
	case <-time.After(rand.N(latest)):
	}
	h.copies.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), latest)
	defer cancel()
	_ = h.ClientConnInterface.Invoke(ctx, pb.KV_Txn_FullMethodName, r, &pb.TxnResponse{}) // whatever becomes of it
}
