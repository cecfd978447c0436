package lock_test

import (
	"context"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// While there is no space, who locks is told so at once, whatever asks the cluster first: a lease
// of its own, or the key.
func TestLockWithoutSpace(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		m := r.locked(cc)
		r.unlock(m)
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
			txn, _ := req.(*pb.TxnRequest)
			if method == pb.Lease_LeaseGrant_FullMethodName ||
				slices.ContainsFunc(txn.GetSuccess(), func(op *pb.RequestOp) bool { return op.GetRequestPut() != nil }) {
				return nil, rpctypes.ErrGRPCNoSpace
			}
			return next()
		})
		for what, call := range map[string]func() error{
			"Lock":     func() error { return m.Lock(t.Context()) },
			"TryLock":  func() error { return m.TryLock(t.Context()) },
			"a Locker": func() error { _, err := r.locker(cc).Lock(t.Context(), "job"); return err },
		} {
			began := time.Now()
			wantIs(t, what, call(), rpctypes.ErrGRPCNoSpace)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s took %v", what, took)
			}
		}
		r.wantKeys()
		r.cluster.Member(0).Intercept(nil)
		if err := m.Lock(t.Context()); err != nil {
			t.Errorf("Lock: %v", err)
		}
		r.unlock(m)
	})
}
