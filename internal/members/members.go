// Package members keeps a client's endpoints in step with the cluster's list of members.
package members

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// URLs returns the client URLs of the voting members that have started, as clientv3's Sync
// has it: a member that has not started has no name, and a learner serves few requests.
func URLs(list []*pb.Member) []string {
	var urls []string
	for _, m := range list {
		if m.GetName() != "" && !m.GetIsLearner() {
			urls = append(urls, m.GetClientURLs()...)
		}
	}
	return urls
}

// timeout limits each call of sync.
const timeout = 5 * time.Second

// Sync calls sync at intervals until ctx ends, and failed with its errors.
func Sync(ctx context.Context, interval time.Duration, sync func(context.Context) error, failed func(error)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			Once(ctx, sync, failed)
		}
	}
}

// Once calls sync once.
func Once(ctx context.Context, sync func(context.Context) error, failed func(error)) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := sync(limited); err != nil && ctx.Err() == nil {
		failed(err)
	}
}
