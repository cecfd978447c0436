package coordination

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

// markers runs writers whose transactions put the next number, whatever is there, with
// little patience. Each settles what was in doubt, and so knows the last number at any
// time: a copy that came late would put an older one.
func markers(ctx context.Context, s *soak) {
	var wg sync.WaitGroup
	for i, c := range s.clients {
		rng := s.random("marker", i)
		wg.Go(func() {
			key := fmt.Sprintf("%smarked/%d", s.cfg.Prefix, i)
			m, err := kv.NewMarker(c, key+"/marker")
			if err != nil {
				s.violate("markers: %v", err)
				return
			}
			n := 0
			for ctx.Err() == nil {
				n += s.mark(ctx, c, m, rng, key, n)
				pause(ctx, between(rng, 0, 30*time.Millisecond))
			}
			s.checkMarked(ctx, key, n)
		})
	}
	wg.Wait()
}

// mark puts the next number, and returns by how much the number that is there has grown.
func (s *soak) mark(ctx context.Context, c *client.Client, m *kv.Marker, rng *rand.Rand, key string, n int) int {
	tctx, cancel := context.WithTimeout(ctx, between(rng, time.Millisecond, 2*time.Second))
	defer cancel()
	resp, err := m.Txn(tctx, c).Then(kv.OpPut(key, strconv.Itoa(n+1), kv.WithPrevKV())).Commit()
	if err == nil {
		s.count(func(r *Report) { r.Marked.Committed++ })
		if put, err := resp.Put(0); err != nil || number(string(put.PrevKv.GetValue())) != n {
			s.violate("markers: %s was %v when %d was put (%v)", key, put, n+1, err)
		}
		return 1
	}
	ambiguous := client.IsAmbiguous(err)
	for {
		sctx, cancel := within(ctx, 10*time.Second)
		applied, settleErr := m.Settle(sctx)
		cancel()
		switch {
		case errors.Is(settleErr, kv.ErrMarkerChanged):
			s.violate("markers: %s: %v", key, settleErr)
			return 0
		case settleErr != nil:
			s.cfg.Log("coordination: %s: %v", key, settleErr)
			continue
		case applied && !ambiguous:
			s.violate("markers: %s: %d was applied, in spite of the certain error %v", key, n+1, err)
		}
		s.count(func(r *Report) {
			switch {
			case applied:
				r.Marked.Applied++
			case ambiguous:
				r.Marked.Refused++
			default:
				r.Marked.Failed++
			}
		})
		if applied {
			return 1
		}
		return 0
	}
}

// checkMarked looks at the last number when nothing can come late any more.
func (s *soak) checkMarked(ctx context.Context, key string, n int) {
	octx, cancel := within(ctx, s.cfg.Settle)
	defer cancel()
	pause(octx, 8*time.Second)
	resp, err := s.outside.get(octx, key)
	if err != nil {
		s.violate("markers: %v", err)
		return
	}
	got := 0
	if len(resp.Kvs) > 0 {
		got = number(string(resp.Kvs[0].Value))
	}
	if got != n {
		s.violate("markers: %s is %d in the end, and its writer knows of %d", key, got, n)
	}
}
