package lock

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/lease"
)

// Service is etcd's lock service. It is safe for concurrent use. Errors are the
// connection's; the server's own often come with the code Unknown, since that
// service is a client of its member and passes on no code.
type Service interface {
	// Lock waits until the lock called name is free and takes it for a lease,
	// which the caller keeps alive: when the lease ends, so does the lock. The
	// answer has the key that stands for it. When ctx ends the server stops
	// waiting, but it may have taken the lock before it noticed: revoke the lease.
	//
	// After any error take another lease, too. A member whose client has left
	// deletes the waiter's key, which is named after the lease, and may do so
	// late: it would delete that of a second Lock with the same lease, by which
	// the lock is held meanwhile, and nobody would be told. For the same reason a
	// client's connection does not send a Lock to a second member, unless the
	// first has certainly not seen it.
	//
	// The server counts every key below NAME/ as a waiter's, such as those of a lock
	// called NAME/sub, and waits until it is gone. Mutex does not.
	//
	// name must not be empty, and id not NoLease. Without a lease the server
	// grants one of 60 s that nobody knows and nobody renews (v3lock/lock.go):
	// the lock would be lost after a minute without a sign, and a repeated
	// request would wait for itself.
	Lock(ctx context.Context, name string, id lease.ID) (*v3lockpb.LockResponse, error)

	// Unlock deletes the key that Lock returned. The server does not ask whose
	// key it is, nor tell whether it was there. So a request that reaches the
	// cluster late, from a member that was stopped, frees whatever lock has the key
	// by then, which is the next one of the same lease. After an Unlock that was in
	// doubt take another lease, as after a Lock; or delete the key by a transaction
	// that compares its create revision, as Mutex and Locker do, which is harmless
	// however late it comes.
	Unlock(ctx context.Context, key string) (*v3lockpb.UnlockResponse, error)
}

type service struct {
	rpc  v3lockpb.LockClient
	opts []grpc.CallOption
}

// NewService returns the lock service over cc. The call options are added to every RPC.
func NewService(cc grpc.ClientConnInterface, opts ...grpc.CallOption) Service {
	return &service{rpc: v3lockpb.NewLockClient(misuse.Conn("lock", cc)), opts: opts}
}

func (s *service) Lock(ctx context.Context, name string, id lease.ID) (*v3lockpb.LockResponse, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if id == lease.NoLease {
		return nil, errors.New("lock: Lock: the lease ID is 0: the server would grant a 60 s lease that nobody renews; grant a lease first")
	}
	return s.rpc.Lock(ctx, &v3lockpb.LockRequest{Name: []byte(name), Lease: int64(id)}, s.opts...)
}

func (s *service) Unlock(ctx context.Context, key string) (*v3lockpb.UnlockResponse, error) {
	if key == "" {
		return nil, errors.New("lock: Unlock: the key is empty; it must be the one that Lock returned")
	}
	return s.rpc.Unlock(ctx, &v3lockpb.UnlockRequest{Key: []byte(key)}, s.opts...)
}

// checkName refuses what all waiters of all locks would share: without a name
// the keys would be /LEASE, and a prefix scan for them would meet whatever else
// starts with a slash.
func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("lock: the name is empty; the lock's keys are NAME/LEASE, so it needs one of its own")
	}
	return nil
}
