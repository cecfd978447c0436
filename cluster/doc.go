// Package cluster speaks etcd's Cluster service (etcdserverpb.Cluster): who the
// members are, and how that changes.
//
//	members := cluster.New(conn)
//	list, err := members.MemberList(ctx)
//	for _, m := range list.Members { ... }
//
// A member has peer URLs, at which the others find it and which are part of the
// membership; and client URLs, which it announces itself when it has started. So
// a member that was added and not started yet has neither name nor client URLs.
//
// # Changing the membership
//
// A change goes through raft like a write, and is safe one at a time. The server
// refuses what would cost the cluster its quorum: rpctypes.ErrUnhealthy,
// ErrMemberNotEnoughStarted. The usual way to add a member is
//
//	resp, err := members.MemberAddAsLearner(ctx, []string{"http://10.0.0.4:2380"})
//	// start it, with --initial-cluster-state=existing, and when it has caught up
//	_, err = members.MemberPromote(ctx, resp.Member.ID)
//
// because a learner does not count for the quorum while it has nothing.
//
// A change whose answer was lost may have been applied, and must not just be
// repeated: to add a member twice makes two. On a client's connection,
// client.IsAmbiguous tells; then list the members.
//
// # Errors
//
// A call that cannot mean anything is an error that says so, and nothing was
// sent; where the server has an error for the same thing, errors.Is finds that.
// Everything else is the connection's error as it is: on a client's, errors.Is
// finds rpctypes' errors and the context's.
package cluster
