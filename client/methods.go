package client

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// The kinds of most methods.
var (
	proposal = call{class: write, proves: true}
	question = call{class: read, proves: true}
	// change is a proposal that its caller may declare repeatable (WithIdempotentWrites).
	// A transaction is none: a copy may be refused because of another one's success.
	change = call{class: write, proves: true, declarable: true}
	memory = call{class: read}
	local  = call{class: read, anyMember: true}
	// streamed is a stream of a single request or of many: how it ends proves nothing.
	streamed = call{class: read, waits: true}
)

// kinds has every RPC of etcd 3.4 to 3.7. Each line, or the group that it begins,
// names the place in the server (go.etcd.io/etcd/server/v3; package etcdserver unless
// a directory is named) that shows whether its answer takes an agreement of the
// members. Where versions differ it is the weaker that counts. "raft" is raftRequest
// of v3_server.go: the answer is what came of applying the proposal, which a quorum
// has accepted. "ReadIndex" is LinearizableReadNotify: the leader has confirmed with
// a quorum that it leads, after the request came.
//
// It is a slice, which the compiler lays out: the code that makes a map of as many functions is
// larger than all the rest of the file.
var kinds = []kind{
	// v3_server.go, Range and Txn: ReadIndex unless serializable; Txn is raft unless
	// it is read-only (IsTxnReadonly).
	{method: pb.KV_Range_FullMethodName, of: func(req any, _ bool) call {
		r, _ := req.(*pb.RangeRequest)
		return call{class: read, anyMember: r.GetSerializable(), proves: !r.GetSerializable()}
	}},
	{method: pb.KV_Txn_FullMethodName, of: func(req any, _ bool) call {
		if r, ok := req.(*pb.TxnRequest); ok && readOnly(r) {
			return call{class: read, anyMember: serializable(r), proves: !serializable(r)}
		}
		return proposal
	}},
	{method: pb.KV_RangeStream_FullMethodName, is: &streamed}, // 3.7 only
	// v3_server.go, Put and DeleteRange: raft.
	{method: pb.KV_Put_FullMethodName, is: &change},
	{method: pb.KV_DeleteRange_FullMethodName, is: &change},
	// v3_server.go, Compact: raft. What is compacted once stays so: a copy of the
	// request is answered ErrCompacted and does nothing (storage/mvcc/kvstore.go,
	// updateCompactRev).
	{method: pb.KV_Compact_FullMethodName, is: &call{class: repeatable, waits: true, proves: true}},

	// api/v3rpc/watch.go: events come from the member's own store, and so do answers
	// to progress requests.
	{method: pb.Watch_Watch_FullMethodName, is: &streamed},

	// v3_server.go, LeaseGrant: raft. Without an ID of the client's choosing each
	// grant makes a new lease. With the caller's own, an ErrLeaseExist may mean
	// anybody's lease, and a late copy may make a lease that somebody has revoked.
	// A random ID that is used once means nobody else's; a late copy makes a lease
	// without keys that ends by itself.
	{method: pb.Lease_LeaseGrant_FullMethodName, of: func(req any, ownID bool) call {
		r, ok := req.(*pb.LeaseGrantRequest)
		return repeatableIf(ok && r.GetID() != 0 && ownID)
	}},
	// v3_server.go, LeaseRevoke: raft. A late copy revokes whichever lease has the ID
	// then: it is known to be none only where IDs are used once.
	{method: pb.Lease_LeaseRevoke_FullMethodName, of: func(_ any, ownID bool) call { return repeatableIf(ownID) }},
	// v3_server.go, LeaseRenew: from the leader's memory in 3.4 (ensureLeadership is
	// of 3.5), and over HTTP from the leader that the member believes in.
	{method: pb.Lease_LeaseKeepAlive_FullMethodName, is: &streamed},
	// v3_server.go, leaseTimeToLive: from the lessor's memory on a member that
	// believes to lead (isLeader), over HTTP from the leader's elsewhere.
	{method: pb.Lease_LeaseTimeToLive_FullMethodName, is: &memory},
	// v3_server.go, LeaseLeases: s.lessor.Leases(), on every member.
	{method: pb.Lease_LeaseLeases_FullMethodName, is: &memory},

	// server.go, configure: the answer is what came of applying the change.
	{method: pb.Cluster_MemberAdd_FullMethodName, is: &proposal},
	{method: pb.Cluster_MemberRemove_FullMethodName, is: &proposal},
	{method: pb.Cluster_MemberUpdate_FullMethodName, is: &proposal},
	// server.go, PromoteMember: a follower asks the leader over HTTP; its own raft
	// has no part in it. Its errors: see latePromotion.
	{method: pb.Cluster_MemberPromote_FullMethodName, is: &call{class: write, late: latePromotion}},
	// api/v3rpc/member.go, MemberList: 3.4 ignores Linearizable and answers from
	// memory; since 3.5 ReadIndex when it is set.
	{method: pb.Cluster_MemberList_FullMethodName, of: func(req any, _ bool) call {
		r, _ := req.(*pb.MemberListRequest)
		return call{class: read, anyMember: !r.GetLinearizable()}
	}},

	// v3_server.go, Alarm: raft, also to list them. A late copy would disarm an alarm
	// that was raised since, or raise one that was disarmed.
	{method: pb.Maintenance_Alarm_FullMethodName, of: func(req any, _ bool) call {
		if r, ok := req.(*pb.AlarmRequest); ok && r.GetAction() == pb.AlarmRequest_GET {
			return question
		}
		return proposal
	}},
	// api/v3rpc/maintenance.go: from the member's own state.
	{method: pb.Maintenance_Status_FullMethodName, is: &local},
	{method: pb.Maintenance_Hash_FullMethodName, is: &local},
	{method: pb.Maintenance_HashKV_FullMethodName, is: &call{class: read, anyMember: true, waits: true}},
	{method: pb.Maintenance_Snapshot_FullMethodName, is: &call{class: read, anyMember: true, waits: true}},
	// It stops one member for a while. Nobody wants another one to be stopped because
	// the first one's answer was lost.
	{method: pb.Maintenance_Defragment_FullMethodName, is: &call{class: write, anyMember: true, waits: true}},
	// server.go, MoveLeader: done at once when the member believes that the transferee
	// leads already.
	{method: pb.Maintenance_MoveLeader_FullMethodName, is: &call{class: write}},
	// v3_server.go, Downgrade: to cancel one is answered even when the proposal fails
	// (downgradeCancel, since 3.6).
	{method: pb.Maintenance_Downgrade_FullMethodName, is: &call{class: write}},

	// v3_server.go: raft, the questions included. Authenticate begins with ReadIndex;
	// a token that nobody uses changes nothing, so its error is never ambiguous.
	{method: pb.Auth_Authenticate_FullMethodName, is: &question},
	{method: pb.Auth_AuthStatus_FullMethodName, is: &question},
	{method: pb.Auth_UserGet_FullMethodName, is: &question},
	{method: pb.Auth_UserList_FullMethodName, is: &question},
	{method: pb.Auth_RoleGet_FullMethodName, is: &question},
	{method: pb.Auth_RoleList_FullMethodName, is: &question},
	{method: pb.Auth_AuthEnable_FullMethodName, is: &proposal},
	{method: pb.Auth_AuthDisable_FullMethodName, is: &proposal},
	{method: pb.Auth_UserAdd_FullMethodName, is: &proposal},
	{method: pb.Auth_UserDelete_FullMethodName, is: &proposal},
	{method: pb.Auth_UserChangePassword_FullMethodName, is: &proposal},
	{method: pb.Auth_UserGrantRole_FullMethodName, is: &proposal},
	{method: pb.Auth_UserRevokeRole_FullMethodName, is: &proposal},
	{method: pb.Auth_RoleAdd_FullMethodName, is: &proposal},
	{method: pb.Auth_RoleDelete_FullMethodName, is: &proposal},
	{method: pb.Auth_RoleGrantPermission_FullMethodName, is: &proposal},
	{method: pb.Auth_RoleRevokePermission_FullMethodName, is: &proposal},

	// api/v3lock/lock.go and api/v3election/election.go. Each service is a client of
	// its own member: what it answers comes after a Txn, a DeleteRange or a
	// linearizable Range of this request.
	//
	// The key of a lock's waiter, and of a candidate, is named after the lease, the same
	// each time; but a member whose client has left deletes it, whenever it gets round
	// to that (concurrency.Mutex.Lock and Election.Campaign, which the services call).
	// To ask a second member with the same lease is to hold what the first takes away.
	// Once the first has answered it takes nothing away any more: then a request with
	// a lease finds its key and waits on.
	{method: v3lockpb.Lock_Lock_FullMethodName, of: func(req any, _ bool) call {
		r, _ := req.(*v3lockpb.LockRequest)
		return call{class: write, waits: true, proves: true, late: lateWait, rejoins: r.GetLease() != 0}
	}},
	{method: v3electionpb.Election_Campaign_FullMethodName, of: func(req any, _ bool) call {
		r, _ := req.(*v3electionpb.CampaignRequest)
		return call{class: write, waits: true, proves: true, late: lateWait, rejoins: r.GetLease() != 0}
	}},
	// Unlock deletes a key by its name, which the same lease's next lock has again: a
	// late copy would free that one.
	{method: v3lockpb.Lock_Unlock_FullMethodName, is: &proposal},
	{method: v3electionpb.Election_Proclaim_FullMethodName, is: &proposal},
	// Resign deletes the key if it still has its first revision (concurrency.Election.
	// Resign), which no later key has. Without a lease each request would grant one
	// (concurrency.NewSession).
	{method: v3electionpb.Election_Resign_FullMethodName, of: func(req any, _ bool) call {
		r, _ := req.(*v3electionpb.ResignRequest)
		return repeatableIf(r.GetLeader().GetLease() != 0)
	}},
	{method: v3electionpb.Election_Leader_FullMethodName, is: &question},
	{method: v3electionpb.Election_Observe_FullMethodName, is: &streamed},
}

// kind is what the requests of a method are: the same, or what of makes of one.
type kind struct {
	method string
	is     *call // nil if of is not
	of     func(req any, ownID bool) call
}

// methods is kinds by the methods' names.
var methods = func() map[string]kind {
	all := make(map[string]kind, len(kinds))
	for _, k := range kinds {
		all[k.method] = k
	}
	return all
}()

// repeatableIf is a proposal that is repeatable, or a write.
func repeatableIf(yes bool) call {
	if yes {
		return call{class: repeatable, proves: true}
	}
	return proposal
}
