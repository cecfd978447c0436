package watch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const watching = pb.Watch_Watch_FullMethodName

// service is the watch service over a connection. The end of the test closes it.
func service(t *testing.T, cc grpc.ClientConnInterface, opts ...watch.Option) watch.Watcher {
	t.Helper()
	w := watch.New(cc, opts...)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// single is the watch service on the only member of a new cluster.
func single(t *testing.T, opts ...watch.Option) (watch.Watcher, *etcdtest.Cluster, kv.KV) {
	t.Helper()
	c := etcdtest.Start(t, 1)
	conn := c.Conn(t)
	return service(t, conn, opts...), c, kv.New(conn)
}

// dial is a failover client on a cluster.
func dial(t *testing.T, c *etcdtest.Cluster, change ...func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{
		Endpoints:   c.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
	}
	for _, f := range change {
		f(&cfg)
	}
	cl, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// rotating is a connection that opens each stream on the next of its members,
// and asks them in turn for the rest.
type rotating struct {
	conns []*grpc.ClientConn

	mu   sync.Mutex
	next int
}

func newRotating(t *testing.T, c *etcdtest.Cluster) *rotating {
	t.Helper()
	r := &rotating{}
	for _, m := range c.Members() {
		r.conns = append(r.conns, m.Conn(t))
	}
	return r
}

func (r *rotating) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var err error
	for _, conn := range r.conns {
		if err = conn.Invoke(ctx, method, args, reply, opts...); err == nil {
			return nil
		}
	}
	return err
}

func (r *rotating) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	r.mu.Lock()
	conn := r.conns[r.next%len(r.conns)]
	r.next++
	r.mu.Unlock()
	return conn.NewStream(ctx, desc, method, opts...)
}

func put(t *testing.T, store kv.KV, key, val string) int64 {
	t.Helper()
	resp, err := store.Put(t.Context(), key, val)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return resp.Header.Revision
}

// putMany puts several keys at one revision.
func putMany(t *testing.T, store kv.KV, val string, keys ...string) int64 {
	t.Helper()
	ops := make([]kv.Op, 0, len(keys))
	for _, key := range keys {
		ops = append(ops, kv.OpPut(key, val))
	}
	resp, err := store.Txn(t.Context()).Then(ops...).Commit()
	if err != nil {
		t.Fatalf("txn: %v", err)
	}
	return resp.Header.Revision
}

func compact(t *testing.T, store kv.KV, rev int64) {
	t.Helper()
	if _, err := store.Compact(t.Context(), rev); err != nil {
		t.Fatalf("compact %d: %v", rev, err)
	}
}

// limit bounds waiting; inside a synctest bubble it costs nothing.
const limit = 10 * time.Minute

// receive takes the next response.
func receive(t *testing.T, ch watch.WatchChan) watch.WatchResponse {
	t.Helper()
	select {
	case resp, ok := <-ch:
		if !ok {
			t.Fatal("the channel is closed, want a response")
		}
		return resp
	case <-time.After(limit):
		t.Fatalf("no response in %v", limit)
	}
	panic("unreachable")
}

// created awaits the first response of a watch WithCreatedNotify.
func created(t *testing.T, ch watch.WatchChan) int64 {
	t.Helper()
	resp := receive(t, ch)
	if !resp.Created || len(resp.Events) > 0 || resp.Err() != nil || resp.IsProgressNotify() {
		t.Fatalf("got %+v, want the watch created", resp)
	}
	return resp.Header.Revision
}

// collect takes n events.
func collect(t *testing.T, ch watch.WatchChan, n int) []string {
	t.Helper()
	var got []string
	for len(got) < n {
		resp := receive(t, ch)
		if resp.Err() != nil {
			t.Fatalf("after %v: the watch ended: %v", got, resp.Err())
		}
		got = append(got, texts(resp.Events)...)
	}
	return got
}

func texts(events []*watch.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, text(e))
	}
	return out
}

func text(e *watch.Event) string {
	kind := "modify"
	switch {
	case e.IsCreate():
		kind = "create"
	case !e.IsModify():
		kind = "delete"
	}
	return fmt.Sprintf("%d %s %s=%s", e.Kv.ModRevision, kind, e.Kv.Key, e.Kv.Value)
}

// ending takes the last response, checks that the channel closes after it, and
// returns the cause.
func ending(t *testing.T, ch watch.WatchChan) error {
	t.Helper()
	resp := receive(t, ch)
	if resp.Err() == nil || !resp.Canceled || len(resp.Events) > 0 {
		t.Fatalf("got %+v, want the last response with its cause", resp)
	}
	closed(t, ch)
	return resp.Err()
}

func closed(t *testing.T, ch watch.WatchChan) {
	t.Helper()
	select {
	case resp, ok := <-ch:
		if ok {
			t.Errorf("got %+v, want the channel closed", resp)
		}
	case <-time.After(limit):
		t.Errorf("the channel did not close in %v", limit)
	}
}

func wantIs(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want one that is %v", what, err, target)
	}
}

// streams counts the Watch streams that all members have got.
func streams(c *etcdtest.Cluster) int {
	n := 0
	for _, m := range c.Members() {
		n += m.Calls(watching)
	}
	return n
}

// tapped lets a test see, change, hold and refuse the messages of a stream.
type tapped struct {
	grpc.ServerStream
	received func(*pb.WatchRequest) error
	sending  func(*pb.WatchResponse) error
}

func (s *tapped) RecvMsg(msg any) error {
	if err := s.ServerStream.RecvMsg(msg); err != nil {
		return err
	}
	if req, ok := msg.(*pb.WatchRequest); ok && s.received != nil {
		return s.received(req)
	}
	return nil
}

func (s *tapped) SendMsg(msg any) error {
	if resp, ok := msg.(*pb.WatchResponse); ok && s.sending != nil {
		if err := s.sending(resp); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(msg)
}

// tap wraps the Watch streams that open at m from now on. The functions run one
// at a time.
func tap(m *etcdtest.Member, received func(*pb.WatchRequest) error, sending func(*pb.WatchResponse) error) {
	var mu sync.Mutex
	m.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		if method != watching {
			return next(ss)
		}
		return next(&tapped{ServerStream: ss, received: oneAtATime(&mu, received), sending: oneAtATime(&mu, sending)})
	})
}

func oneAtATime[T any](mu *sync.Mutex, f func(T) error) func(T) error {
	if f == nil {
		return nil
	}
	return func(msg T) error {
		mu.Lock()
		defer mu.Unlock()
		return f(msg)
	}
}

// lag makes creations at m look as if it had not seen what comes after rev. It
// returns how many there were.
func lag(m *etcdtest.Member, rev int64) *int {
	n := new(int)
	tap(m, nil, func(r *pb.WatchResponse) error {
		if r.Created {
			*n++
			r.Header.Revision = rev
		}
		return nil
	})
	return n
}
