package clientv3_test

import (
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/middleware/namespace"
)

// The services, the raw connection and the connection to one endpoint all use the
// middleware.
func TestMiddleware(t *testing.T) {
	runWith(t, 1, nil, func(n *client.Config) { n.Middleware = []client.Middleware{namespace.Of("p/")} }, func(r *rig) {
		t, ctx := r.t, r.timeout(time.Minute)
		one, err := r.Dial(r.Endpoints()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer one.Close()
		if _, err := r.Put(ctx, "a", ""); err != nil {
			t.Error(err)
		}
		for key, conn := range map[string]*grpc.ClientConn{"b": r.ActiveConnection(), "c": one} {
			if _, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte(key)}); err != nil {
				t.Error(err)
			}
		}
		if _, err := r.Status(ctx, r.Endpoints()[0]); err != nil {
			t.Error(err)
		}
		resp, err := pb.NewKVClient(r.cluster.Conn(t)).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, kv := range resp.Kvs {
			got = append(got, string(kv.Key))
		}
		if got, want := strings.Join(got, " "), "p/a p/b p/c"; got != want {
			t.Errorf("the cluster has the keys %q, want %q", got, want)
		}
	})
}

func TestNewWithMisuse(t *testing.T) {
	cfg := clientv3.Config{Endpoints: []string{"member-1:2379"}}
	for want, change := range map[string]func(*client.Config){
		"the function is nil":  nil,
		"endpoints to [\"b\"]": func(n *client.Config) { n.Endpoints = []string{"b"} },
		"Middleware[0] is nil": func(n *client.Config) { n.Middleware = []client.Middleware{nil} },
	} {
		if _, err := clientv3.NewWith(cfg, change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewWith: got %v, want that %s", err, want)
		}
	}
}
