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

// methods has every RPC of etcd 3.4 to 3.7. Each line, or the group that it begins,
// names the place in the server (go.etcd.io/etcd/server/v3; package etcdserver unless
// a directory is named) that shows whether its answer takes an agreement of the
// members. Where versions differ it is the weaker that counts. "raft" is raftRequest
// of v3_server.go: the answer is what came of applying the proposal, which a quorum
// has accepted. "ReadIndex" is LinearizableReadNotify: the leader has confirmed with
// a quorum that it leads, after the request came.
var methods = map[string]func(req any, ownID bool) call{
	// v3_server.go, Range and Txn: ReadIndex unless serializable; Txn is raft unless
	// it is read-only (IsTxnReadonly).
	pb.KV_Range_FullMethodName: func(req any, _ bool) call {
		r, _ := req.(*pb.RangeRequest)
		return call{class: read, anyMember: r.GetSerializable(), proves: !r.GetSerializable()}
	},
	pb.KV_Txn_FullMethodName: func(req any, _ bool) call {
		if r, ok := req.(*pb.TxnRequest); ok && readOnly(r) {
			return call{class: read, anyMember: serializable(r), proves: !serializable(r)}
		}
		return proposal
	},
	pb.KV_RangeStream_FullMethodName: is(streamed), // 3.7 only
	// v3_server.go, Put and DeleteRange: raft.
	pb.KV_Put_FullMethodName:         is(change),
	pb.KV_DeleteRange_FullMethodName: is(change),
	// v3_server.go, Compact: raft. What is compacted once stays so: a copy of the
	// request is answered ErrCompacted and does nothing (storage/mvcc/kvstore.go,
	// updateCompactRev).
	pb.KV_Compact_FullMethodName: is(call{class: repeatable, waits: true, proves: true}),

	// api/v3rpc/watch.go: events come from the member's own store, and so do answers
	// to progress requests.
	pb.Watch_Watch_FullMethodName: is(streamed),

	// v3_server.go, LeaseGrant: raft. Without an ID of the client's choosing each
	// grant makes a new lease. With the caller's own, an ErrLeaseExist may mean
	// anybody's lease, and a late copy may make a lease that somebody has revoked.
	// A random ID that is used once means nobody else's; a late copy makes a lease
	// without keys that ends by itself.
	pb.Lease_LeaseGrant_FullMethodName: func(req any, ownID bool) call {
		r, ok := req.(*pb.LeaseGrantRequest)
		return repeatableIf(ok && r.GetID() != 0 && ownID)
	},
	// v3_server.go, LeaseRevoke: raft. A late copy revokes whichever lease has the ID
	// then: it is known to be none only where IDs are used once.
	pb.Lease_LeaseRevoke_FullMethodName: func(_ any, ownID bool) call { return repeatableIf(ownID) },
	// v3_server.go, LeaseRenew: from the leader's memory in 3.4 (ensureLeadership is
	// of 3.5), and over HTTP from the leader that the member believes in.
	pb.Lease_LeaseKeepAlive_FullMethodName: is(streamed),
	// v3_server.go, leaseTimeToLive: from the lessor's memory on a member that
	// believes to lead (isLeader), over HTTP from the leader's elsewhere.
	pb.Lease_LeaseTimeToLive_FullMethodName: is(memory),
	// v3_server.go, LeaseLeases: s.lessor.Leases(), on every member.
	pb.Lease_LeaseLeases_FullMethodName: is(memory),

	// server.go, configure: the answer is what came of applying the change.
	pb.Cluster_MemberAdd_FullMethodName:    is(proposal),
	pb.Cluster_MemberRemove_FullMethodName: is(proposal),
	pb.Cluster_MemberUpdate_FullMethodName: is(proposal),
	// server.go, PromoteMember: a follower asks the leader over HTTP; its own raft
	// has no part in it. Its errors: see latePromotion.
	pb.Cluster_MemberPromote_FullMethodName: is(call{class: write, late: latePromotion}),
	// api/v3rpc/member.go, MemberList: 3.4 ignores Linearizable and answers from
	// memory; since 3.5 ReadIndex when it is set.
	pb.Cluster_MemberList_FullMethodName: func(req any, _ bool) call {
		r, _ := req.(*pb.MemberListRequest)
		return call{class: read, anyMember: !r.GetLinearizable()}
	},

	// v3_server.go, Alarm: raft, also to list them. A late copy would disarm an alarm
	// that was raised since, or raise one that was disarmed.
	pb.Maintenance_Alarm_FullMethodName: func(req any, _ bool) call {
		if r, ok := req.(*pb.AlarmRequest); ok && r.GetAction() == pb.AlarmRequest_GET {
			return question
		}
		return proposal
	},
	// api/v3rpc/maintenance.go: from the member's own state.
	pb.Maintenance_Status_FullMethodName:   is(local),
	pb.Maintenance_Hash_FullMethodName:     is(local),
	pb.Maintenance_HashKV_FullMethodName:   is(call{class: read, anyMember: true, waits: true}),
	pb.Maintenance_Snapshot_FullMethodName: is(call{class: read, anyMember: true, waits: true}),
	// It stops one member for a while. Nobody wants another one to be stopped because
	// the first one's answer was lost.
	pb.Maintenance_Defragment_FullMethodName: is(call{class: write, anyMember: true, waits: true}),
	// server.go, MoveLeader: done at once when the member believes that the transferee
	// leads already.
	pb.Maintenance_MoveLeader_FullMethodName: is(call{class: write}),
	// v3_server.go, Downgrade: to cancel one is answered even when the proposal fails
	// (downgradeCancel, since 3.6).
	pb.Maintenance_Downgrade_FullMethodName: is(call{class: write}),

	// v3_server.go: raft, the questions included. Authenticate begins with ReadIndex;
	// a token that nobody uses changes nothing, so its error is never ambiguous.
	pb.Auth_Authenticate_FullMethodName:         is(question),
	pb.Auth_AuthStatus_FullMethodName:           is(question),
	pb.Auth_UserGet_FullMethodName:              is(question),
	pb.Auth_UserList_FullMethodName:             is(question),
	pb.Auth_RoleGet_FullMethodName:              is(question),
	pb.Auth_RoleList_FullMethodName:             is(question),
	pb.Auth_AuthEnable_FullMethodName:           is(proposal),
	pb.Auth_AuthDisable_FullMethodName:          is(proposal),
	pb.Auth_UserAdd_FullMethodName:              is(proposal),
	pb.Auth_UserDelete_FullMethodName:           is(proposal),
	pb.Auth_UserChangePassword_FullMethodName:   is(proposal),
	pb.Auth_UserGrantRole_FullMethodName:        is(proposal),
	pb.Auth_UserRevokeRole_FullMethodName:       is(proposal),
	pb.Auth_RoleAdd_FullMethodName:              is(proposal),
	pb.Auth_RoleDelete_FullMethodName:           is(proposal),
	pb.Auth_RoleGrantPermission_FullMethodName:  is(proposal),
	pb.Auth_RoleRevokePermission_FullMethodName: is(proposal),

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
	v3lockpb.Lock_Lock_FullMethodName: func(req any, _ bool) call {
		r, _ := req.(*v3lockpb.LockRequest)
		return call{class: write, waits: true, proves: true, late: lateWait, rejoins: r.GetLease() != 0}
	},
	v3electionpb.Election_Campaign_FullMethodName: func(req any, _ bool) call {
		r, _ := req.(*v3electionpb.CampaignRequest)
		return call{class: write, waits: true, proves: true, late: lateWait, rejoins: r.GetLease() != 0}
	},
	// Unlock deletes a key by its name, which the same lease's next lock has again: a
	// late copy would free that one.
	v3lockpb.Lock_Unlock_FullMethodName:           is(proposal),
	v3electionpb.Election_Proclaim_FullMethodName: is(proposal),
	// Resign deletes the key if it still has its first revision (concurrency.Election.
	// Resign), which no later key has. Without a lease each request would grant one
	// (concurrency.NewSession).
	v3electionpb.Election_Resign_FullMethodName: func(req any, _ bool) call {
		r, _ := req.(*v3electionpb.ResignRequest)
		return repeatableIf(r.GetLeader().GetLease() != 0)
	},
	v3electionpb.Election_Leader_FullMethodName:  is(question),
	v3electionpb.Election_Observe_FullMethodName: is(streamed),
}

func is(c call) func(any, bool) call { return func(any, bool) call { return c } }

// repeatableIf is a proposal that is repeatable, or a write.
func repeatableIf(yes bool) call {
	if yes {
		return call{class: repeatable, proves: true}
	}
	return proposal
}
