package once

import (
	"cmp"
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/lease"
)

const (
	// DefaultTTL is the time to live of a writer's lease, in seconds, unless WithTTL gives
	// another one.
	DefaultTTL = 60
	// DefaultSlots is how many writes can be under way together, unless WithSlots gives another
	// number.
	DefaultSlots = 256
)

// Option is an option of NewConn and Of.
type Option func(*config)

type config struct {
	ttl   int64
	slots int
}

// WithTTL sets the time to live of the writer's lease in seconds: for so long after a crash its
// slots remain. It must be positive; the cluster may give more.
func WithTTL(seconds int64) Option { return func(c *config) { c.ttl = seconds } }

// WithSlots sets how many writes can be under way together, and so how many keys the writer has
// at most. Further writes wait. It must be positive.
func WithSlots(n int) Option { return func(c *config) { c.slots = n } }

// Of returns NewConn as a function for client.Config.Middleware. The client closes the Conn.
//
//	c, err := client.New(client.Config{
//		Endpoints:  endpoints,
//		Middleware: []client.Middleware{once.Of("once/")},
//	})
func Of(prefix string, opts ...Option) func(grpc.ClientConnInterface) grpc.ClientConnInterface {
	return func(cc grpc.ClientConnInterface) grpc.ClientConnInterface { return NewConn(cc, prefix, opts...) }
}

// Conn is a connection on which each write happens once. Make one with NewConn. It is safe for
// concurrent use.
type Conn struct {
	cc      grpc.ClientConnInterface
	prefix  span
	slots   *slots
	misused error // by NewConn's caller
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// NewConn returns cc with writes that happen once. The slots' keys begin with prefix, which no
// other keys may do, except those of other writers. It must not be empty.
//
// Nothing is sent and no goroutine runs until the first write. An argument that is wrong is the
// error of every write. Close must be called, before cc is closed, which remains its owner's
// business.
func NewConn(cc grpc.ClientConnInterface, prefix string, opts ...Option) *Conn {
	cfg := config{ttl: DefaultTTL, slots: DefaultSlots}
	for _, opt := range opts {
		if opt != nil {
			opt(&cfg)
		}
	}
	c := &Conn{cc: misuse.Conn("once", cc), prefix: under(prefix)}
	c.misused = cmp.Or(misuse.Options("once: NewConn", opts), cfg.validate(prefix))
	c.slots = newSlots(transport{c.cc}, prefix, cfg)
	return c
}

func (c config) validate(prefix string) error {
	switch {
	case prefix == "":
		return misuse.Error("once: NewConn: the prefix is empty, and all keys would be slots; name one that no other keys have")
	case c.ttl <= 0 || c.ttl > lease.MaxTTL:
		return misuse.Error(fmt.Sprintf("once: WithTTL is given %d seconds: must be from 1 to %d", c.ttl, int64(lease.MaxTTL)))
	case c.slots <= 0:
		return misuse.Error(fmt.Sprintf("once: WithSlots is given %d: must be positive", c.slots))
	}
	return nil
}

// Close deletes the slots, by revoking their lease, and ends what runs here. The lease is revoked
// even if its grant was not answered yet. Writes fail from then on; those under way may still be
// applied, and say so, or fail. Close waits at most 1 s for the revocation, whose error it returns:
// then the slots are left to their lease's end. A second Close does nothing.
func (c *Conn) Close() error { return c.slots.close() }

// NewStream implements grpc.ClientConnInterface.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.cc.NewStream(ctx, desc, method, opts...)
}

// Invoke implements grpc.ClientConnInterface.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	w, err := newWrite(method, args, reply)
	switch {
	case err != nil:
		return err
	case w == nil:
		return c.cc.Invoke(ctx, method, args, reply, opts...)
	case c.misused != nil:
		return c.misused
	}
	if err := misuse.Context(ctx, "once"); err != nil {
		return err
	}
	if key, ok := c.prefix.touched(w.ops()); ok {
		return misuse.Error(fmt.Sprintf("once: %s would write to %q, where the slots are (prefix %q): choose another key, or another prefix for the slots", w.name, key, c.prefix.from))
	}
	return c.write(ctx, w, opts)
}

// transport sends what the middleware itself has to send.
type transport struct{ cc grpc.ClientConnInterface }

// txn sends a transaction of which a copy, however late, does no harm.
func (t transport) txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	resp, _, err := t.send(ctx, r, nil)
	return resp, err
}

// send is txn. only is true when the answer is that of the only copy that was sent. On a connection
// that is not a client's nobody knows.
func (t transport) send(ctx context.Context, r *pb.TxnRequest, opts []grpc.CallOption) (resp *pb.TxnResponse, only bool, err error) {
	a := &attempt.Attempt{Guarded: true}
	if outer := attempt.FromContext(ctx); outer != nil {
		a.Avoid = outer.Avoid
	}
	resp = &pb.TxnResponse{}
	err = t.cc.Invoke(attempt.NewContext(ctx, a), pb.KV_Txn_FullMethodName, r, resp, opts...)
	return resp, a.Only(), err
}

func (t transport) get(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	resp := &pb.RangeResponse{}
	return resp, t.cc.Invoke(ctx, pb.KV_Range_FullMethodName, r, resp)
}
