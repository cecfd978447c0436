package client

import (
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// class says when a request may be sent to another member.
type class uint8

const (
	// write may be sent again only when it is certain that no member has
	// proposed it.
	write class = iota
	// repeatable may always be sent again: once or twice leaves the same state.
	repeatable
	// read may always be sent again, and changes nothing.
	read
)

// call is what the call path knows of one request before sending it.
type call struct {
	class class
	// anyMember is set when a member without a leader can serve the request:
	// then it must not be refused for having none.
	anyMember bool
	// waits is set when the answer's time tells nothing of the member.
	waits bool
	// proposes is set when the members have to agree on something new for it. It
	// is so for whatever is not a read, and for a login.
	proposes bool
}

// classify looks at the method and, where that does not decide it, at the
// request. Methods that it does not know are writes.
func classify(method string, req any) call {
	c := classOf(method, req)
	c.proposes = c.class != read || method == pb.Auth_Authenticate_FullMethodName
	return c
}

func classOf(method string, req any) call {
	switch method {
	case pb.KV_Range_FullMethodName:
		r, _ := req.(*pb.RangeRequest)
		return call{class: read, anyMember: r.GetSerializable()}
	case pb.KV_Txn_FullMethodName:
		if r, ok := req.(*pb.TxnRequest); ok && readOnly(r) {
			return call{class: read, anyMember: serializable(r)}
		}
		return call{class: write}
	case pb.Lease_LeaseGrant_FullMethodName:
		// Without an ID of the client's choosing each grant makes a new lease.
		if r, ok := req.(*pb.LeaseGrantRequest); ok && r.GetID() != 0 {
			return call{class: repeatable}
		}
		return call{class: write}
	// The key of a lock's waiter, and of a candidate, is named after the lease, the same
	// each time; but a member whose client has left deletes it, whenever it gets round
	// to that (concurrency.Mutex.Lock and Election.Campaign, which the services call).
	// To ask a second member with the same lease is to hold what the first takes away.
	case v3lockpb.Lock_Lock_FullMethodName, v3electionpb.Election_Campaign_FullMethodName:
		return call{class: write, waits: true}
	case v3electionpb.Election_Resign_FullMethodName:
		return call{class: repeatable}
	case v3electionpb.Election_Leader_FullMethodName:
		return call{class: read}
	case v3electionpb.Election_Observe_FullMethodName:
		return call{class: read, waits: true}
	case pb.KV_Compact_FullMethodName:
		return call{class: repeatable, waits: true}
	case pb.Maintenance_Defragment_FullMethodName:
		// It stops one member for a while. Nobody wants another one to be stopped
		// because the first one's answer was lost.
		return call{class: write, anyMember: true, waits: true}
	case pb.Maintenance_HashKV_FullMethodName:
		return call{class: read, anyMember: true, waits: true}
	case pb.Maintenance_Status_FullMethodName, pb.Maintenance_Hash_FullMethodName:
		return call{class: read, anyMember: true}
	case pb.Maintenance_Alarm_FullMethodName:
		if r, ok := req.(*pb.AlarmRequest); ok && r.GetAction() == pb.AlarmRequest_GET {
			return call{class: read}
		}
		return call{class: repeatable} // an alarm is on or off, however often it is said
	case pb.Cluster_MemberList_FullMethodName:
		r, _ := req.(*pb.MemberListRequest)
		return call{class: read, anyMember: !r.GetLinearizable()}
	case pb.Lease_LeaseRevoke_FullMethodName, v3lockpb.Lock_Unlock_FullMethodName:
		return call{class: repeatable}
	// A token that nobody uses is no state: Authenticate leaves no doubt.
	case pb.Auth_Authenticate_FullMethodName,
		pb.Lease_LeaseTimeToLive_FullMethodName, pb.Lease_LeaseLeases_FullMethodName,
		pb.Auth_AuthStatus_FullMethodName, pb.Auth_UserGet_FullMethodName, pb.Auth_UserList_FullMethodName,
		pb.Auth_RoleGet_FullMethodName, pb.Auth_RoleList_FullMethodName:
		return call{class: read}
	case pb.Maintenance_Snapshot_FullMethodName:
		return call{class: read, anyMember: true, waits: true}
	case pb.Watch_Watch_FullMethodName, pb.Lease_LeaseKeepAlive_FullMethodName,
		pb.KV_RangeStream_FullMethodName:
		return call{class: read, waits: true}
	}
	return call{class: write}
}

// readOnly reports whether t changes nothing, whichever way its comparisons go.
func readOnly(t *pb.TxnRequest) bool {
	return everyOp(t, func(op *pb.RequestOp) bool {
		nested := op.GetRequestTxn()
		return op.GetRequestRange() != nil || nested != nil && readOnly(nested)
	})
}

// serializable reports whether a member serves t, which is read-only, from its
// own state. One linearizable range, or a nested transaction, makes it ask the
// leader for the whole.
func serializable(t *pb.TxnRequest) bool {
	return everyOp(t, func(op *pb.RequestOp) bool { return op.GetRequestRange().GetSerializable() })
}

func everyOp(t *pb.TxnRequest, ok func(*pb.RequestOp) bool) bool {
	for _, branch := range [2][]*pb.RequestOp{t.GetSuccess(), t.GetFailure()} {
		for _, op := range branch {
			if !ok(op) {
				return false
			}
		}
	}
	return true
}

// operation is the name of a method in errors: "Put" for "/etcdserverpb.KV/Put".
func operation(method string) string {
	return method[strings.LastIndexByte(method, '/')+1:]
}
