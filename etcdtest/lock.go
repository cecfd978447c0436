package etcdtest

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sessionTTL is the lease that etcd's lock service grants when it is given none,
// in seconds.
const sessionTTL = 60

type lockServer struct {
	v3lockpb.UnimplementedLockServer
	m *Member
}

// Lock puts the key name/lease and waits until no older key is left under name/.
// With a lease that already has its key it waits for that one. When the client
// gives up, the key is deleted; when this member is killed, nobody deletes it
// before its lease ends, as with a real one.
func (ls *lockServer) Lock(ctx context.Context, r *v3lockpb.LockRequest) (*v3lockpb.LockResponse, error) {
	if err := ls.m.awaitLeader(ctx); err != nil {
		return nil, lockError(err)
	}
	s := ls.m.c.store
	id := r.Lease
	if id == 0 {
		l, err := s.grant(0, sessionTTL)
		if err != nil {
			return nil, lockError(err)
		}
		id = l.id
	}
	prefix := string(r.Name) + "/"
	key := fmt.Sprintf("%s%x", prefix, id)
	changed := s.subscribe()
	defer s.unsubscribe(changed)
	process := ls.m.process()

	mine, err := s.enqueue(key, id)
	if err != nil {
		return nil, lockError(err)
	}
	for {
		rev, first, alive := s.lockState(prefix, key, mine)
		switch {
		case first && !alive:
			return nil, status.Error(codes.Unknown, "mutex: session is expired")
		case first:
			return &v3lockpb.LockResponse{Header: ls.m.header(rev), Key: []byte(key)}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if ls.m.process() == process {
				s.delete(key)
			}
			return nil, context.Cause(ctx)
		}
	}
}

// Unlock deletes the key, whoever it belongs to. It answers the same whether or
// not the key was there.
func (ls *lockServer) Unlock(ctx context.Context, r *v3lockpb.UnlockRequest) (*v3lockpb.UnlockResponse, error) {
	if len(r.Key) == 0 {
		return nil, lockError(rpctypes.ErrGRPCEmptyKey)
	}
	if err := ls.m.awaitLeader(ctx); err != nil {
		return nil, lockError(err)
	}
	ls.m.c.store.delete(string(r.Key))
	return &v3lockpb.UnlockResponse{Header: ls.m.header(ls.m.c.store.revision())}, nil
}

// enqueue puts the waiter's key unless it is there, and returns its create
// revision, which is its place in the queue.
func (s *store) enqueue(key string, leaseID int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kv := s.atLocked(key, s.rev); kv != nil {
		return kv.CreateRevision, nil
	}
	req := &pb.PutRequest{Key: []byte(key), Lease: leaseID}
	if err := s.checkPutLocked(req); err != nil {
		return 0, err
	}
	w := s.beginLocked()
	w.doPut(req)
	w.commit()
	return s.rev, nil
}

// lockState reports whether no key under prefix is older than mine, and whether
// key itself is still there.
func (s *store) lockState(prefix, key string, mine int64) (rev int64, first, alive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// "0" follows "/", with which every prefix ends.
	end := prefix[:len(prefix)-1] + "0"
	first = true
	for _, kv := range s.rangeLocked(keyRange{[]byte(prefix), []byte(end)}, s.rev) {
		first = first && kv.CreateRevision >= mine
	}
	kv := s.atLocked(key, s.rev)
	return s.rev, first, kv != nil
}

func (s *store) delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.beginLocked()
	w.delete(keyRange{key: []byte(key)})
	w.commit()
}

// lockError gives err the form in which it leaves etcd's lock service. The
// service is a client of its own member, and what that client returns carries no
// gRPC status, so that every code but the contexts' is Unknown and only the text
// tells.
func lockError(err error) error {
	switch st, ok := status.FromError(err); {
	case err == nil, !ok, st.Code() == codes.Canceled, st.Code() == codes.DeadlineExceeded:
		return err
	default:
		return status.Error(codes.Unknown, st.Message())
	}
}
