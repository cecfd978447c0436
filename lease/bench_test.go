package lease

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// BenchmarkRenewal is the keeper's own part of one renewal, among 10,000 leases:
// what it costs besides the message and gRPC.
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
	answer := func() {
		for _, st := range streams {
			for n := m.take(st, batch[:]); n > 0; n = m.take(st, batch[:]) {
				for _, id := range batch[:n] {
					resp.ID = int64(id)
					m.answered(st, resp, time.Now())
				}
			}
		}
	}
	answer()
	b.ReportAllocs()
	for b.Loop() {
		m.mu.Lock()
		m.dueLocked(m.due[0], time.Now())
		m.mu.Unlock()
		answer()
	}
	b.StopTimer()
	m.close()
}
