package bench

import (
	"context"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/etcdtest"
)

// refuse measures with members that refuse each put as too much, and counts how
// many puts were sent. The members are etcdtest's, in this process. A real member
// refuses puts while more than 5,000 entries wait to be applied
// (maxGapBetweenApplyAndCommitIndex in etcd's server/etcdserver/v3_server.go).
// That state cannot be kept up for ten seconds, and the measurement only concerns
// what the clients send.
func refuse(ctx context.Context, name string, c Case) (_ Result, err error) {
	cluster := etcdtest.NewCluster(c.Endpoints)
	defer cluster.Close()
	for _, m := range cluster.Members() {
		m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.KV_Put_FullMethodName {
				return nil, rpctypes.ErrGRPCRequestTooManyRequests
			}
			return next()
		})
	}
	conn, err := dial(name, cluster.Addrs(), cluster.Dialer())
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, conn.close()) }()
	if _, err := conn.get(ctx, "slowbench/nothing"); err != nil {
		return Result{}, fmt.Errorf("the first call: %w", err)
	}
	result := load(ctx, conn, c)
	for _, m := range cluster.Members() {
		result.Sent += m.Calls(pb.KV_Put_FullMethodName)
	}
	return result, nil
}
