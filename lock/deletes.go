package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/balancer"
)

// createPatience is how long a member may take to confirm a watch.
const createPatience = time.Second

var errWatchSilent = errors.New("lock: the watch was not confirmed in time")

// deletes watches keys for their deletion, on one stream of the watch service.
// It is done with the first deletion or failure; whoever started it looks at the
// keys again then, which is also what makes up for events that were missed.
type deletes struct {
	cancel context.CancelFunc
	result chan error // capacity 1: nil for a deletion, or why it has ended
	ended  chan struct{}

	endpoint string // for who has received from result
}

// watchDeletes watches from revision rev on.
func watchDeletes(ctx context.Context, rpc pb.WatchClient, avoid []string, rev int64, keys ...string) *deletes {
	ctx, cancel := context.WithCancel(ctx)
	d := &deletes{cancel: cancel, result: make(chan error, 1), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		defer cancel()
		d.result <- d.run(ctx, rpc, avoid, rev, keys)
	}()
	return d
}

// stop ends the watch and waits for its goroutine.
func (d *deletes) stop() {
	d.cancel()
	<-d.ended
}

func (d *deletes) run(ctx context.Context, rpc pb.WatchClient, avoid []string, rev int64, keys []string) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	silent := time.AfterFunc(createPatience, func() { fail(errWatchSilent) })
	defer silent.Stop()

	attempt := &balancer.Attempt{Avoid: avoid}
	stream, err := rpc.Watch(balancer.NewContext(ctx, attempt))
	d.endpoint = attempt.Endpoint()
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	for _, key := range keys {
		req := &pb.WatchCreateRequest{
			Key:           []byte(key),
			StartRevision: rev,
			Filters:       []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT},
		}
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: req}}); err != nil {
			break // Recv has the reason
		}
	}
	for created := 0; ; {
		resp, err := stream.Recv()
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if resp.Canceled {
			return fmt.Errorf("lock: the watch was refused: %s", cmp.Or(resp.CancelReason, "revision compacted"))
		}
		if resp.Created {
			if created++; created == len(keys) {
				silent.Stop()
			}
		}
		for _, ev := range resp.Events {
			if ev.Type == mvccpb.Event_DELETE {
				return nil
			}
		}
	}
}
