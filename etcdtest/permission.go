package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// need is what a request does with a range of keys.
type need struct {
	keyRange
	write bool // else read
}

// permit returns etcd's error when the user whose token is in ctx's metadata may not send
// req.
func (c *Cluster) permit(ctx context.Context, req any) error {
	c.mu.Lock()
	name, u, err := c.accounts.user(ctx)
	c.mu.Unlock()
	if _, ok := req.(*pb.AuthStatusRequest); ok && errors.Is(err, rpctypes.ErrGRPCUserEmpty) {
		return nil // etcd lets anybody ask
	}
	if err != nil || u == nil {
		return err
	}
	needs := c.needs(req) // which looks at leases
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.accounts
	admin := slices.Contains(u.roles, root)
	switch r := req.(type) {
	case *pb.AuthEnableRequest, *pb.AuthDisableRequest, *pb.AuthUserListRequest, *pb.AuthRoleListRequest,
		*pb.AuthUserAddRequest, *pb.AuthUserDeleteRequest, *pb.AuthUserChangePasswordRequest,
		*pb.AuthUserGrantRoleRequest, *pb.AuthUserRevokeRoleRequest, *pb.AuthRoleAddRequest, *pb.AuthRoleDeleteRequest,
		*pb.AuthRoleGrantPermissionRequest, *pb.AuthRoleRevokePermissionRequest, // needAdminPermission (apply/auth.go)
		*pb.CompactionRequest: // v3rpc/key.go, Compact
		if !admin {
			return rpctypes.ErrGRPCPermissionDenied
		}
	case *pb.AuthUserGetRequest:
		if !admin && r.Name != name {
			return rpctypes.ErrGRPCPermissionDenied
		}
	case *pb.AuthRoleGetRequest:
		if !admin && !slices.Contains(u.roles, r.Role) {
			return rpctypes.ErrGRPCPermissionDenied
		}
	}
	if !admin && slices.ContainsFunc(needs, func(n need) bool { return !a.permits(u, n) }) {
		return rpctypes.ErrGRPCPermissionDenied
	}
	return nil
}

// needs follows etcd's server/etcdserver/apply/auth.go.
func (c *Cluster) needs(req any) []need {
	switch r := req.(type) {
	case *pb.RangeRequest:
		return []need{{keyRange: keyRange{r.Key, r.RangeEnd}}}
	case *pb.PutRequest:
		needs := append(c.store.attached(r.Lease, true), need{keyRange{key: r.Key}, true})
		if r.PrevKv {
			needs = append(needs, need{keyRange: keyRange{key: r.Key}})
		}
		return needs
	case *pb.DeleteRangeRequest:
		needs := []need{{keyRange{r.Key, r.RangeEnd}, true}}
		if r.PrevKv {
			needs = append(needs, need{keyRange: keyRange{r.Key, r.RangeEnd}})
		}
		return needs
	case *pb.TxnRequest:
		var needs []need
		for _, cmp := range r.Compare {
			needs = append(needs, need{keyRange: keyRange{cmp.Key, cmp.RangeEnd}})
		}
		for _, op := range slices.Concat(r.Success, r.Failure) {
			switch op := op.Request.(type) {
			case *pb.RequestOp_RequestRange:
				needs = append(needs, c.needs(op.RequestRange)...)
			case *pb.RequestOp_RequestPut:
				needs = append(needs, c.needs(op.RequestPut)...)
			case *pb.RequestOp_RequestDeleteRange:
				needs = append(needs, c.needs(op.RequestDeleteRange)...)
			case *pb.RequestOp_RequestTxn:
				needs = append(needs, c.needs(op.RequestTxn)...)
			}
		}
		return needs
	case *pb.WatchCreateRequest:
		return []need{{keyRange: keyRange{r.Key, r.RangeEnd}}}
	case *pb.LeaseRevokeRequest:
		return c.store.attached(r.ID, true)
	case *pb.LeaseKeepAliveRequest: // v3_server.go, checkLeaseRenew
		return c.store.attached(r.ID, true)
	case *pb.LeaseLeasesRequest: // v3_server.go, checkLeaseLeases
		var needs []need
		for _, id := range c.store.leaseIDs() {
			needs = append(needs, c.store.attached(id, false)...)
		}
		return needs
	case *pb.LeaseTimeToLiveRequest:
		if r.Keys { // v3_server.go, checkLeaseTimeToLive
			return c.store.attached(r.ID, false)
		}
	case *v3lockpb.LockRequest: // a Txn on its member: the waiter's key, and those before it
		dir := append(slices.Clone(r.Name), '/')
		queue := keyRange{dir, append(slices.Clone(r.Name), '/'+1)}
		return []need{{queue, true}, {keyRange: queue}}
	case *v3lockpb.UnlockRequest:
		return []need{{keyRange{key: r.Key}, true}}
	}
	return nil
}

func (s *store) leaseIDs() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.leases))
}

// attached returns the needs to write, or to read, each key of a lease.
func (s *store) attached(id int64, write bool) []need {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[id]
	if l == nil {
		return nil
	}
	var needs []need
	for key := range l.keys {
		needs = append(needs, need{keyRange{key: []byte(key)}, write})
	}
	return needs
}

// permits reports whether the user's permissions together cover a range, as etcd's
// server/auth/range_perm_cache.go has it.
func (a *accounts) permits(u *user, n need) bool {
	var perms []*authpb.Permission
	for _, role := range u.roles {
		for _, p := range a.roles[role] {
			if p.PermType == authpb.Permission_READWRITE || (p.PermType == authpb.Permission_WRITE) == n.write {
				perms = append(perms, p)
			}
		}
	}
	at, end := bounds(n.keyRange)
	for {
		furthest, endless := at, false
		for _, p := range perms {
			from, to := bounds(keyRange{p.Key, p.RangeEnd})
			switch {
			case bytes.Compare(from, at) > 0:
			case to == nil:
				endless = true
			case bytes.Compare(to, furthest) > 0:
				furthest = to
			}
		}
		switch {
		case endless, end != nil && bytes.Compare(furthest, end) >= 0:
			return true
		case bytes.Equal(furthest, at):
			return false // a gap
		}
		at = furthest
	}
}

// bounds returns the first key of a range and the first key after it: nil if there is no
// end.
func bounds(r keyRange) (from, to []byte) {
	switch {
	case r.single():
		return r.key, append(slices.Clone(r.key), 0)
	case r.unbounded():
		return r.key, nil
	}
	return r.key, r.end
}
