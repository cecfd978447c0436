package etcdtest

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

const (
	// minLeaseTTL is what etcd makes of a shorter TTL at its default election
	// timeout: one and a half of it, rounded up, in seconds.
	minLeaseTTL = 2
	maxLeaseTTL = 9_000_000_000
)

// lease is guarded by its store's mutex.
type lease struct {
	id       int64
	ttl      int64 // seconds
	deadline time.Time
	timer    *time.Timer
	keys     map[string]struct{}
}

func (s *store) grant(id, ttl int64) (*lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, rpctypes.ErrGRPCStopped
	}
	if ttl > maxLeaseTTL {
		return nil, rpctypes.ErrGRPCLeaseTTLTooLarge
	}
	if s.leases[id] != nil {
		return nil, rpctypes.ErrGRPCLeaseExist
	}
	for id == 0 || s.leases[id] != nil {
		id = rand.Int64N(math.MaxInt64-1) + 1
	}
	return s.beginLeaseLocked(id, max(ttl, minLeaseTTL)), nil
}

// beginLeaseLocked adds a lease that has all of its time to live.
func (s *store) beginLeaseLocked(id, ttl int64) *lease {
	l := &lease{id: id, ttl: ttl, keys: make(map[string]struct{})}
	l.deadline = time.Now().Add(l.duration())
	s.timers.Add(1)
	l.timer = time.AfterFunc(l.duration(), func() {
		defer s.timers.Done()
		s.expire(l)
	})
	s.leases[id] = l
	return l
}

// duration avoids the overflow of etcd's largest TTL, about 285 years.
func (l *lease) duration() time.Duration {
	return time.Duration(min(l.ttl, math.MaxInt64/int64(time.Second))) * time.Second
}

// renew returns the TTL that the lease has again, or 0 when there is none.
func (s *store) renew(id int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[id]
	if l == nil {
		return 0
	}
	l.deadline = time.Now().Add(l.duration())
	if !l.timer.Reset(l.duration()) {
		s.timers.Add(1) // the old expiration is running; it will find the new deadline
	}
	return l.ttl
}

func (s *store) expire(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[l.id] == l && !time.Now().Before(l.deadline) {
		s.dropLocked(l)
	}
}

func (s *store) revoke(id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[id]
	if l == nil {
		return rpctypes.ErrGRPCLeaseNotFound
	}
	if l.timer.Stop() {
		s.timers.Done()
	}
	s.dropLocked(l)
	return nil
}

// dropLocked forgets l and deletes its keys, all at one revision.
func (s *store) dropLocked(l *lease) {
	delete(s.leases, l.id)
	w := s.beginLocked()
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		w.delete(keyRange{key: []byte(key)})
	}
	w.commit()
}

func (s *store) attachLocked(id int64, key string) {
	if l := s.leases[id]; l != nil {
		l.keys[key] = struct{}{}
	}
}

func (s *store) detachLocked(id int64, key string) {
	if l := s.leases[id]; l != nil {
		delete(l.keys, key)
	}
}

// forgetLeasesLocked drops all leases and leaves their keys.
func (s *store) forgetLeasesLocked() {
	for id, l := range s.leases {
		if l.timer.Stop() {
			s.timers.Done()
		}
		delete(s.leases, id)
	}
}

// close stops all expirations and waits for those that run.
func (s *store) close() {
	s.mu.Lock()
	s.closed = true
	s.forgetLeasesLocked()
	s.mu.Unlock()
	s.timers.Wait()
}

type leaseServer struct {
	pb.UnimplementedLeaseServer
	m *Member
}

func (ls *leaseServer) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	if err := ls.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	s := ls.m.c.store
	l, err := s.grant(r.ID, r.TTL)
	if err != nil {
		return nil, err
	}
	return &pb.LeaseGrantResponse{Header: ls.m.header(s.revision()), ID: l.id, TTL: l.ttl}, nil
}

func (ls *leaseServer) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	if err := ls.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	s := ls.m.c.store
	if err := s.revoke(r.ID); err != nil {
		return nil, err
	}
	return &pb.LeaseRevokeResponse{Header: ls.m.header(s.revision())}, nil
}

func (ls *leaseServer) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	if err := ls.m.awaitLeader(ctx); err != nil {
		return nil, err
	}
	s := ls.m.c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &pb.LeaseTimeToLiveResponse{Header: ls.m.header(s.rev), ID: r.ID, TTL: -1}
	l := s.leases[r.ID]
	if l == nil {
		return resp, nil // an unknown lease is an answer, not an error
	}
	resp.TTL = int64(time.Until(l.deadline) / time.Second)
	resp.GrantedTTL = l.ttl
	if r.Keys {
		for _, key := range slices.Sorted(maps.Keys(l.keys)) {
			resp.Keys = append(resp.Keys, []byte(key))
		}
	}
	return resp, nil
}

// LeaseLeases lists by expiry, the next one first, as etcd does.
func (ls *leaseServer) LeaseLeases(_ context.Context, _ *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	s := ls.m.c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	leases := slices.SortedFunc(maps.Values(s.leases), func(a, b *lease) int { return a.deadline.Compare(b.deadline) })
	resp := &pb.LeaseLeasesResponse{Header: ls.m.header(s.rev)}
	for _, l := range leases {
		resp.Leases = append(resp.Leases, &pb.LeaseStatus{ID: l.id})
	}
	return resp, nil
}

func (ls *leaseServer) LeaseKeepAlive(stream grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) error {
	ctx := stream.Context()
	requests := receive(ctx, ls.m, stream.Recv)
	for {
		select {
		case r := <-requests:
			if r.done() {
				return r.result()
			}
			if err := ls.m.c.permit(ctx, r.msg); err != nil {
				return err
			}
			// The header is from before the renewal, as in etcd: were it from
			// after it, a lease could die at a lower revision than it was renewed at.
			resp := &pb.LeaseKeepAliveResponse{Header: ls.m.header(ls.m.c.store.revision()), ID: r.msg.ID}
			if err := ls.m.awaitLeader(ctx); err != nil {
				return err
			}
			resp.TTL = ls.m.c.store.renew(r.msg.ID)
			if err := stream.Send(resp); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
