// Package client connects to an etcd cluster and stays connected.
//
//	c, err := client.New(client.Config{Endpoints: []string{"dns+srv:///example.com"}})
//	...
//	defer c.Close()
//	resp, err := c.Get(ctx, "greeting")
//
// A Client embeds etcd's services: those of packages kv, lease, watch, auth, cluster
// and maintenance. What is built on them is made on its connection, a Conn, on which
// etcd's generated stubs work just as well:
//
//	m, err := lock.NewMutex(c.Conn(), "jobs/nightly")
//	alarms, err := pb.NewMaintenanceClient(c.Conn()).Alarm(ctx, &pb.AlarmRequest{})
//
// # What a call does
//
// Each call is of one of three classes. A read may always be sent again; so may
// a repeatable request, which leaves the same state when it is applied twice; a
// write only when it is certain that no member has proposed it:
//
//	read        Range, read-only Txn, TimeToLive, Leases, Status, MemberList,
//	            Authenticate, …
//	repeatable  LeaseGrant with an ID of the client's choosing, LeaseRevoke, Compact,
//	            Unlock, …
//	write       all else
//
// A call that may be sent again is, until it is answered or its context ends, the
// first time at once and to the standby, then with growing pauses. So calls
// without a deadline wait for as long as the cluster is away. A read that takes
// several times as long as usual is sent to a second member meanwhile, and the first
// answer is taken; one read in a hundred at most, but for 500 that are saved up.
//
// While no member is known to have a leader and a quorum, what would change something
// waits, unsent, and so certain not to have been applied.
//
// # What an error means
//
// A failed call returns an *Error, which wraps etcd's own error where there is
// one (package rpctypes), or the context's. When IsAmbiguous says so, the write
// may have been applied, or may yet be: read before you write again. All other
// errors of writes mean that nothing was applied. One of etcd's own answers is
// ambiguous, too: the write by which the database passes its quota is applied and
// answered with rpctypes.ErrNoSpace.
//
// # Goroutines
//
// New starts those of the resolver, the balancer and gRPC; a login and keepers
// of leases add some while they last. Close ends them all and waits.
package client
