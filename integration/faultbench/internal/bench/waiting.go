package bench

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

const (
	// freedAfter is the time from the start of the fault until the holder
	// unlocks. Later, the waiter might notice the fault by chance.
	freedAfter = 500 * time.Millisecond
	// freeTimeout is how long the holder waits before it tries to unlock again.
	freeTimeout = 500 * time.Millisecond
	freePause   = 20 * time.Millisecond
	// holderTTL is the TTL of the holder's lease in seconds. Nobody renews it.
	holderTTL = 600
)

// waitForLock waits for a lock that another client holds and unlocks when the
// fault has begun. The single sample lasts from then until the lock was acquired.
func waitForLock(ctx context.Context, w *worker) error {
	name := w.key + "/lock"
	free, err := w.holdLock(ctx, name)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithCancel(ctx)
	acquired := make(chan time.Duration, 1)
	ended := make(chan struct{})
	var failed error // the error of Lock; read it after ended is closed
	go func() {
		defer close(ended)
		failed = w.client.Lock(waiting, name, func() { acquired <- w.now() })
	}()
	defer func() {
		cancel()
		<-ended
	}()

	select {
	case <-w.begun:
	case <-ended:
		return fmt.Errorf("waiting before the lock was free: %w", failed)
	case <-ctx.Done():
		return nil
	}
	if sleep(ctx, freedAfter) != nil {
		return nil
	}
	if err := free(ctx); err != nil {
		return fmt.Errorf("freeing the lock: %w", err)
	}
	start := w.now()
	select {
	case at := <-acquired:
		// The waiter may know before the holder does.
		w.samples = append(w.samples, report.Sample{Start: min(start, at), End: at})
		<-ctx.Done() // the outcome of unlocking does not matter here
		return nil
	case <-ended:
		select {
		case at := <-acquired:
			w.samples = append(w.samples, report.Sample{Start: min(start, at), End: at})
		default:
			w.samples = append(w.samples, report.Sample{Start: start, End: w.now(), Outcome: report.Failed})
			w.errors = append(w.errors, failed.Error())
		}
		<-ctx.Done()
		return nil
	case <-ctx.Done():
		w.samples = append(w.samples, report.Sample{Start: start, End: w.now(), Outcome: report.Failed})
		w.errors = append(w.errors, "the lock was free and never there")
		return nil
	}
}

// holdLock makes another client the holder of the lock, in the form of etcd's
// locks: the holder has the oldest key below the name, and the key is named after
// the holder's lease.
func (w *worker) holdLock(ctx context.Context, name string) (free func(context.Context) error, err error) {
	kv, leases := w.healthy(false)
	granted, err := leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: holderTTL})
	if err != nil {
		return nil, fmt.Errorf("the holder's lease: %w", err)
	}
	key := fmt.Sprintf("%s/%x", name, granted.ID)
	if _, err := kv.Put(ctx, &pb.PutRequest{Key: []byte(key), Lease: granted.ID}); err != nil {
		return nil, fmt.Errorf("the holder's key: %w", err)
	}
	return func(ctx context.Context) error {
		for {
			kv, _ := w.healthy(true) // the fault may affect the member that was used before
			try, cancel := context.WithTimeout(ctx, freeTimeout)
			_, err := kv.DeleteRange(try, &pb.DeleteRangeRequest{Key: []byte(key)})
			cancel()
			if err == nil || ctx.Err() != nil {
				return err
			}
			// An election may have lost the request. It is no error if the key is
			// already deleted.
			if err := sleep(ctx, freePause); err != nil {
				return err
			}
		}
	}, nil
}
