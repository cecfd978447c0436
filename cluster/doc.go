// Package cluster is a client of etcd's Cluster service (etcdserverpb.Cluster),
// which lists the members of a cluster and changes the membership.
//
//	members := cluster.New(conn)
//	list, err := members.MemberList(ctx)
//	for _, m := range list.Members { ... }
//
// A member has peer URLs and client URLs. The other members reach it at its peer
// URLs, which are part of the membership. The member itself announces its name
// and its client URLs when it starts. So a member that was added but not yet
// started has neither.
//
// # Changing the membership
//
// A change goes through raft like a write. Make one change at a time. The server
// refuses a change that would cost the cluster its quorum, with
// rpctypes.ErrUnhealthy or rpctypes.ErrMemberNotEnoughStarted. The usual way to
// add a member is
//
//	resp, err := members.MemberAddAsLearner(ctx, []string{"http://10.0.0.4:2380"})
//	// start it, with --initial-cluster-state=existing, and when it has caught up
//	_, err = members.MemberPromote(ctx, resp.Member.ID)
//
// because a learner does not count toward the quorum while it is still catching
// up.
//
// A change whose response was lost may have been applied. Do not simply repeat
// it: adding a member twice can make two members. On a client's connection,
// client.IsAmbiguous reports such an error; list the members then.
//
// # Errors
//
// An invalid call returns an error that says what is wrong, and sends nothing. If
// the server has an error for the same mistake, errors.Is finds it. All other
// errors are the connection's, unchanged. On a client's connection, errors.Is
// finds the errors of rpctypes and of the context.
package cluster
