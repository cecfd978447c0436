package balancer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
)

// A link that crawls, with less than 16 KiB a second, is left: new requests go elsewhere. A
// transfer that is under way on it takes as long as it takes all the same.
func TestTransfersOnCrawlingLinks(t *testing.T) {
	const size, rate = 60_000, 4e3
	const ideal = time.Duration(size / rate * float64(time.Second))
	for _, members := range []int{1, 3} {
		t.Run(fmt.Sprint("put, members: ", members), func(t *testing.T) {
			runSlow(t, members, rate, func(r *rig) {
				start := time.Now()
				err := r.put(r.timeout(10*time.Minute), "k", strings.Repeat("v", size))
				if d := time.Since(start); err != nil || d > ideal*12/10 {
					r.t.Errorf("error %v after %v, want success within %v", err, d, ideal*12/10)
				}
			})
		})
		t.Run(fmt.Sprint("get, members: ", members), func(t *testing.T) {
			runSlow(t, members, rate, func(r *rig) {
				r.answerLarge(size, 0)
				start := time.Now()
				resp, err := r.kv.Range(r.timeout(10*time.Minute), &pb.RangeRequest{Key: []byte("large")})
				if d := time.Since(start); err != nil || len(resp.GetKvs()) == 0 || d > ideal*2 {
					r.t.Errorf("error %v after %v, want the answer within %v", err, d, ideal*2)
				}
			})
		})
	}
}

// A member that answers nothing is found while an upload to it crawls, and the write is
// given up when its last byte has left and its patience is over.
func TestCrawlingUploadDoesNotHideAStall(t *testing.T) {
	const size, rate = 60_000, 4e3
	const ideal = time.Duration(size / rate * float64(time.Second))
	for _, members := range []int{2, 3} {
		runSlow(t, members, rate, func(r *rig) {
			t := r.t
			if err := r.WaitReady(r.timeout(time.Minute)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second) // the bubble's clock
			first := r.active()
			for _, m := range r.cluster.Members() {
				if m.Addr() == first {
					m.Intercept(func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
						<-ctx.Done() // health checks, too
						return nil, ctx.Err()
					})
				}
			}
			start := time.Now()
			put := make(chan error, 1)
			go func() { put <- r.put(r.timeout(10*time.Minute), "k", strings.Repeat("v", size)) }()
			for r.active() == first && time.Since(start) < time.Minute {
				time.Sleep(50 * time.Millisecond)
			}
			left := time.Since(start)
			err := <-put
			ended := time.Since(start)
			if left > 3*time.Second || !client.IsAmbiguous(err) || ended > ideal*12/10+3*time.Second {
				t.Errorf("left after %v, want at most 3 s; the put ended with %v after %v, want an ambiguous error within %v", left, err, ended, ideal*12/10+3*time.Second)
			}
		})
	}
}
