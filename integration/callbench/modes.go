package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/middleware/batch"
	"github.com/getcd/getcd/middleware/once"
)

// store is a client as this program uses it.
type store interface {
	put(ctx context.Context, key, value string) error
	get(ctx context.Context, key string) error
	close() error
}

// modes are the clients, by their names.
var modes = []struct {
	name string
	dial func(endpoints []string) (store, error)
}{
	{"raw", dialRaw},
	{"raw txn", dialRawTxn},
	{"clientv3", dialClientv3},
	{"getcd", getcdWith()},
	{"batch", getcdWith(batch.NewConn)},
	{"once", getcdWith(once.Of("callbench-once/"))},
	{"once+batch", getcdWith(batch.NewConn, once.Of("callbench-once/"))},
}

func modeNames() []string {
	names := make([]string, len(modes))
	for i, m := range modes {
		names[i] = m.name
	}
	return names
}

func dialMode(name string, endpoints []string) (store, error) {
	for _, m := range modes {
		if m.name == name {
			return m.dial(endpoints)
		}
	}
	return nil, errors.New("there is no client " + name)
}

type raw struct {
	conn *grpc.ClientConn
	kv   pb.KVClient
}

// dialRaw takes the first endpoint: a plain connection has no use for the others. Each round
// has another one first.
func dialRaw(endpoints []string) (store, error) {
	conn, err := grpc.NewClient("passthrough:///"+endpoints[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return raw{conn, pb.NewKVClient(conn)}, nil
}

func (r raw) put(ctx context.Context, key, value string) error {
	_, err := r.kv.Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	return err
}

func (r raw) get(ctx context.Context, key string) error {
	resp, err := r.kv.Range(ctx, &pb.RangeRequest{Key: []byte(key)})
	return found(len(resp.GetKvs()), err)
}

func (r raw) close() error { return r.conn.Close() }

// rawTxn puts by the smallest transaction that is applied once: what package once can't be
// quicker than.
type rawTxn struct {
	raw
	slots sync.Pool // of *rawSlot
	made  atomic.Int64
}

type rawSlot struct {
	key []byte
	mod int64
}

func dialRawTxn(endpoints []string) (store, error) {
	s, err := dialRaw(endpoints)
	if err != nil {
		return nil, err
	}
	return &rawTxn{raw: s.(raw)}, nil //nolint:forcetypeassert // it is what dialRaw makes
}

func (r *rawTxn) put(ctx context.Context, key, value string) error {
	s, ok := r.slots.Get().(*rawSlot)
	if !ok {
		s = &rawSlot{key: fmt.Appendf(nil, "callbench-slots/%d", r.made.Add(1))}
		made, err := r.kv.Put(ctx, &pb.PutRequest{Key: s.key})
		if err != nil {
			return err
		}
		s.mod = made.GetHeader().GetRevision()
	}
	put := func(key []byte, value string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: []byte(value)}}}
	}
	resp, err := r.kv.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: s.key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: s.mod}}},
		Success: []*pb.RequestOp{put([]byte(key), value), put(s.key, "+")},
	})
	if err != nil {
		return err
	}
	if !resp.GetSucceeded() {
		return errors.New("the slot was changed")
	}
	s.mod = resp.GetHeader().GetRevision()
	r.slots.Put(s)
	return nil
}

type theirs struct{ c *clientv3.Client }

func dialClientv3(endpoints []string) (store, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	return theirs{c}, err
}

func (s theirs) put(ctx context.Context, key, value string) error {
	_, err := s.c.Put(ctx, key, value)
	return err
}

func (s theirs) get(ctx context.Context, key string) error {
	resp, err := s.c.Get(ctx, key)
	if err != nil {
		return err
	}
	return found(len(resp.Kvs), nil)
}

func (s theirs) close() error { return s.c.Close() }

type ours struct{ c *client.Client }

func getcdWith(middleware ...client.Middleware) func([]string) (store, error) {
	return func(endpoints []string) (store, error) {
		c, err := client.New(client.Config{Endpoints: slices.Clone(endpoints), Middleware: middleware})
		return ours{c}, err
	}
}

func (s ours) put(ctx context.Context, key, value string) error {
	_, err := s.c.Put(ctx, key, value)
	return err
}

func (s ours) get(ctx context.Context, key string) error {
	resp, err := s.c.Get(ctx, key)
	if err != nil {
		return err
	}
	return found(len(resp.Kvs), nil)
}

func (s ours) close() error { return s.c.Close() }

func found(n int, err error) error {
	if err == nil && n != 1 {
		return errors.New("the key is not there")
	}
	return err
}
