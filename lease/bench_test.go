package lease

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/clock"
)

// BenchmarkRenewal is the keeper's own part of a round's renewals, among 10,000 leases: what
// they cost besides the messages and gRPC.
func BenchmarkRenewal(b *testing.B) {
	const leases = 10_000
	m := newManager(nil, nil)
	m.running = true // the benchmark is the loop
	for id := range ID(leases) {
		if _, _, err := m.add(b.Context(), id+1, nil); err != nil {
			b.Fatal(err)
		}
	}
	streams := make(map[*lane]*stream)
	for _, l := range m.lanes {
		st := &stream{lane: l, cancel: func() {}, wake: make(chan struct{}, 1), sent: make(map[ID]pending)}
		l.current = st
		streams[l] = st
	}
	resp := &pb.LeaseKeepAliveResponse{Header: &pb.ResponseHeader{}, TTL: 60}
	var batch [sendBatch]ID
	answer := func(l *lane) {
		st := streams[l]
		for n := m.take(st, batch[:]); n > 0; n = m.take(st, batch[:]) {
			for _, id := range batch[:n] {
				resp.ID = int64(id)
				m.answered(st, resp, clock.Recent())
			}
		}
	}
	for l := range streams {
		answer(l)
	}
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		l := m.lanes[rounds%len(m.lanes)]
		rounds++
		m.mu.Lock()
		now := clock.Now()
		for range sendBatch {
			l.hand(l.due[0].e, now)
		}
		m.mu.Unlock()
		answer(l)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(rounds*sendBatch), "ns/renewal")
	b.StopTimer()
	m.close()
}
