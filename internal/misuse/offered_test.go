package misuse_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/internal/etcdrpc"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/maintenance"
	"github.com/getcd/getcd/watch"
)

// called is a connection that notes the methods that are called, and has none of them.
type called struct {
	mu      sync.Mutex
	methods map[string]bool
}

func (c *called) note(method string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.methods[method] = true
	return status.Error(codes.Unimplemented, "noted")
}

func (c *called) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	return c.note(method)
}

func (c *called) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, c.note(method)
}

// paged answers the first page of a range, after which a Streamer reads the rest from a stream.
type paged struct{ *called }

func (p paged) Invoke(_ context.Context, method string, req, reply any, _ ...grpc.CallOption) error {
	if r, ok := req.(*pb.RangeRequest); ok && string(r.Key) == "k" {
		proto.Merge(reply.(proto.Message), &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{{Key: []byte("k")}}, More: true})
		return nil
	}
	return p.note(method)
}

// Every RPC of etcd's is called by a method of a service package. One of a later etcd
// fails here until it has a method, or a reason for none.
func TestEveryRPCIsOffered(t *testing.T) {
	noted := &called{methods: map[string]bool{
		pb.Maintenance_Hash_FullMethodName: true, // of the whole file, with what no two members share; HashKV is of the keys
	}}
	synctest.Test(t, func(t *testing.T) {
		leases := lease.New(noted)
		watcher := watch.New(noted)
		endpoints := maintenance.WithEndpointDialer(func(context.Context, string) (grpc.ClientConnInterface, func() error, error) {
			return noted, func() error { return nil }, nil
		})
		var calls sync.WaitGroup
		calls.Go(func() {
			for _, err := range kv.NewStreamer(paged{noted}).Scan(t.Context(), "k", kv.WithPrefix()) {
				if err != nil {
					break
				}
			}
		})
		for _, service := range []any{
			kv.New(noted), kv.NewStreamer(noted), leases, watcher, auth.New(noted), cluster.New(noted), maintenance.New(noted, endpoints),
			lock.NewService(noted), election.NewService(noted),
		} {
			v := reflect.ValueOf(service)
			for i := range v.NumMethod() {
				if v.Type().Method(i).Name != "Close" {
					// It fails, or tries again until Close; what matters is which RPC it was.
					calls.Go(func() { _ = call(v.Method(i), noted, false, false) })
				}
			}
		}
		synctest.Wait()
		for _, err := range []error{leases.Close(), watcher.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		calls.Wait()
	})
	for _, m := range etcdrpc.Methods() {
		if !noted.methods[m.Name] {
			t.Errorf("%s is called by no method of a service package: give it one", m.Name)
		}
	}
}
