package client

import (
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/attempt"
)

// class says when a request may be sent to another member.
type class uint8

const (
	// write may be sent again only when it is certain that no member has
	// proposed it.
	write class = iota
	// repeatable may always be sent again: a copy of it that arrives at any later
	// time, whatever anybody has done meanwhile, changes nothing.
	repeatable
	// read may always be sent again, and changes nothing.
	read
)

// call is what the call path knows of one request before sending it. The zero
// value is right for what is not known.
type call struct {
	class class
	// anyMember is set when a member without a leader can serve the request:
	// then it must not be refused for having none.
	anyMember bool
	// waits is set when the answer's time tells nothing of the member.
	waits bool
	// proves is set when the answer takes an agreement of the members that is made
	// after the request has come, in every version of etcd from 3.4 to 3.7.
	proves bool
	// proposes is set when the members have to agree on something new for it: it may be
	// lost in an election, and waits until that is over. A login is none: it can be
	// repeated, and whoever waits for the proof of a server that has users may need it.
	proposes bool
	// late says what an error means that a later step of the request may have
	// given. Nil where the request has one step, and an error one meaning.
	late func(text string, f fate) fate
	// declarable is set when the caller can say that the write is repeatable: what a copy
	// does is what the request says, and no more.
	declarable bool
	// hedged is set when a slow request is also sent to a second member. It is the
	// Conn's: not every kind of reply and option allows it.
	hedged bool
	// rejoins is set when the request, once it has been answered, can be sent again
	// and goes on where it was.
	rejoins bool
}

// classify looks at the method and, where that does not decide it, at the
// request. ownID is attempt.Attempt.OwnID. Methods that it does not know are
// writes whose answers prove nothing.
func classify(method string, req any, ownID bool) call {
	var c call
	if k, ok := methods[method]; ok && k.is != nil {
		c = *k.is
	} else if ok {
		c = k.of(req, ownID)
	}
	c.proposes = c.class != read
	c.hedged = c.class == read && !c.waits && method != pb.Auth_Authenticate_FullMethodName // each login costs the server the check of a password
	return c
}

// declared is c of a request that its caller has declared to be repeatable, as a states. A
// large one is not hedged: two copies of it would delay each other on a slow line.
func (c call) declared(a *attempt.Attempt, req any) call {
	if c.class == write && (a.Repeat && c.declarable || a.Guarded) {
		c.class = repeatable
		c.hedged = !c.large(req)
	}
	return c
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
