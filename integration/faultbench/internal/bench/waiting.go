package bench

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

const (
	// freedAfter is from the fault's first moment until the holder frees the lock.
	// Later the waiter may know by chance what is wrong.
	freedAfter = 500 * time.Millisecond
	// freeTimeout is how long the holder waits before it frees the lock again.
	freeTimeout = 500 * time.Millisecond
	freePause   = 20 * time.Millisecond
	// holderTTL is the time to live of the holder's lease in seconds; nobody renews it.
	holderTTL = 600
)

// waitForLock waits for a lock that another client holds and frees when the fault
// has begun. The one sample is from then until the lock was there.
func waitForLock(ctx context.Context, w *worker) error {
	name := w.key + "/lock"
	free, err := w.holdLock(ctx, name)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithCancel(ctx)
	acquired := make(chan time.Duration, 1)
	ended := make(chan struct{})
	var failed error // of Lock, for who has seen ended
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
		<-ctx.Done() // what becomes of the unlocking is another matter
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

// holdLock makes another client the lock's holder, as etcd's locks are held: by the
// oldest key below the name that is called like its lease.
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
			kv, _ := w.healthy(true) // the fault may have hit the member of before
			try, cancel := context.WithTimeout(ctx, freeTimeout)
			_, err := kv.DeleteRange(try, &pb.DeleteRangeRequest{Key: []byte(key)})
			cancel()
			if err == nil || ctx.Err() != nil {
				return err
			}
			// An election may have lost it. That it has been deleted already is no error.
			if err := sleep(ctx, freePause); err != nil {
				return err
			}
		}
	}, nil
}
