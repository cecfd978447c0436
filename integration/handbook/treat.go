package main

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// treatment is what getcd's client does about an error, as it was seen to do: a member in
// memory answered one call with it, and the next one as usual.
func treatment(ctx context.Context, err error) (string, error) {
	plain, e := treated(ctx, err, false)
	if e != nil {
		return "", e
	}
	user, e := treated(ctx, err, true)
	if e != nil {
		return "", e
	}
	if user == plain {
		return plain, nil
	}
	return plain + " With a user: " + user, nil
}

const (
	treatLimit = 10 * time.Second
	// treatTries limits how often a read is sent. On a busy machine it may be so late that the
	// client also sends it to the other member, which knows no error.
	treatTries = 5
)

func treated(ctx context.Context, answer error, user bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, treatLimit)
	defer cancel()
	fake := etcdtest.NewCluster(2)
	defer fake.Close()
	cfg := client.Config{
		Endpoints: fake.Addrs(),
		Resolver:  resolver.Options{KeepOrder: true},
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return fake.Dialer()(ctx, addr)
		})},
	}
	if user {
		cfg.Username, cfg.Password, cfg.InsecureDiscovery = "alice", "hello", true
		fake.EnableAuth(map[string]string{"alice": "hello"})
	}
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }() // nothing is under way
	kv := pb.NewKVClient(c.Conn())
	_, err = kv.Put(ctx, &pb.PutRequest{Key: []byte("k")}) // the client knows its members from here on
	if err != nil {
		return "", err
	}
	var left atomic.Int32
	for _, m := range fake.Members() {
		m.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			// The client's own questions have other keys.
			if r, ok := req.(interface{ GetKey() []byte }); ok && string(r.GetKey()) == "k" && left.Add(-1) >= 0 {
				return nil, answer
			}
			return next()
		})
	}
	left.Store(1)
	_, write := kv.Put(ctx, &pb.PutRequest{Key: []byte("k")})
	var read error
	for range treatTries {
		hedges := c.Counters().Hedges
		left.Store(1)
		_, read = kv.Range(ctx, &pb.RangeRequest{Key: []byte("k")})
		if c.Counters().Hedges == hedges {
			break
		}
	}
	if ctx.Err() != nil {
		return "", errors.New("the client has not come to an end with it")
	}
	return "a write is " + outcome(write) + "; a read is " + outcome(read) + ".", nil
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "sent again"
	case client.IsAmbiguous(err):
		return "returned as **ambiguous**"
	default:
		return "returned as certain"
	}
}
