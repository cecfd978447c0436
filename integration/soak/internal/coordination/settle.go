package coordination

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// settle inspects from outside what is left when all workers have ended.
func (s *soak) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Settle)
	defer cancel()
	began := time.Now()
	var leases []lease.ID
	for first := true; ; first = false {
		now, err := s.outside.leases(ctx)
		if err != nil && first {
			return err
		}
		if err != nil {
			break // use the last result
		}
		leases = now
		if first {
			s.count(func(r *Report) { r.LeasesLeft = len(leases) })
		}
		if len(leases) == 0 || !pause(ctx, 200*time.Millisecond) {
			break
		}
	}
	s.count(func(r *Report) { r.LeasesGone = time.Since(began) })
	if len(leases) > 0 {
		s.violate("%d leases are still there %v after everybody has ended: %x", len(leases), time.Since(began), leases)
	}
	octx, cancel := within(ctx, 10*time.Second)
	defer cancel()
	for _, a := range s.orphans.watched() {
		resp, err := s.outside.get(octx, a.prefix, kv.WithPrefix(), kv.WithKeysOnly())
		if err != nil {
			return fmt.Errorf("looking for what is left: %w", err)
		}
		for _, k := range resp.Kvs {
			s.violate("the key %q of revision %d is left when everybody has ended", k.Key, k.CreateRevision)
		}
	}
	return nil
}
