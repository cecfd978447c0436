// Package client connects to an etcd cluster and stays connected.
//
//	c, err := client.New(client.Config{Endpoints: []string{"dns+srv:///example.com"}})
//	...
//	defer c.Close()
//	resp, err := c.Get(ctx, "greeting")
//
// A Client embeds etcd's services: those of packages kv, lease, watch, auth, cluster
// and maintenance. What is built on them is made on its connection, on which
// etcd's generated stubs work just as well:
//
//	m, err := lock.New(c.Conn(), "jobs/nightly")
//	alarms, err := pb.NewMaintenanceClient(c.Conn()).Alarm(ctx, &pb.AlarmRequest{})
//
// What lies between services and connection, such as a namespace, is a Middleware. All
// services of a client are made on it:
//
//	client.Config{Endpoints: endpoints, Middleware: []client.Middleware{namespace.Of("jobs/")}}
//
// # What a call does
//
// Each call is of one of three classes. A read may always be sent again; so may
// a repeatable request, a copy of which changes nothing, however late it arrives and
// whatever others have done meanwhile; a write only when it is certain that no member
// has proposed it:
//
//	read        Range, read-only Txn, TimeToLive, Leases, Status, MemberList,
//	            Authenticate, …
//	repeatable  LeaseGrant and LeaseRevoke with an ID that package lease drew at
//	            random and that is used once, Compact, Resign with a lease
//	write       all else, Unlock and leases by the caller's own IDs among them
//
// A call that may be sent again is, until it is answered or its context ends, the
// first time at once and to the standby, then with growing pauses. So calls
// without a deadline wait for as long as the cluster is away. A read that takes
// several times as long as usual is sent to a second member meanwhile, and the first
// answer is taken; one read in a hundred at most, but for 500 that are saved up.
//
// What a member refuses as too much ("too many requests") is sent again after 0.1 s,
// then after pauses that grow to 5 s. All calls of a client together send at most 100
// requests so, one more for each 10 that succeed, and 10 more a second.
//
// While no member is known to have a leader and a quorum, what would change something
// waits, unsent, and so certain not to have been applied.
//
// A member that falls silent, or can't serve while another can, is left at once: by new
// requests, by streams that can be opened again, and by what may be sent again. A write
// that is under way there keeps its connection until it is answered, its context ends, it
// is known to be lost, or its patience is over (Config.WritePatience) while another member
// serves. Bytes that move on the connection are a sign of life.
//
// # What an error means
//
// A failed call returns an *Error, which wraps etcd's own error where there is
// one (package rpctypes), or the context's. When IsAmbiguous says so, the write
// may have been applied, or may yet be: read before you write again. All other
// errors of writes mean that nothing was applied. Some of etcd's own answers are
// ambiguous, too. The write by which the database passes its quota is applied and
// answered with rpctypes.ErrNoSpace. Lock and Campaign can answer with the error of a
// late step, such as an invalid token, while the waiter's key is there; MemberPromote
// can say that the member is no learner, or that there is no leader, after the
// promotion.
//
// Somebody who is known by a certificate is refused by etcd when users or roles change
// while the request is under way. Such a request is sent again, up to 32 times.
//
// When a call ends without an answer its error names every endpoint, those that were
// tried first. When a proxy answers, its error has the HTTP status. With 3xx, 4xx, 501 and
// 505 a proxy refuses to pass the request on, so a write was not applied; with the others
// the error is ambiguous.
//
// # How members are reached
//
// Through the proxy that the environment's HTTPS_PROXY names, but for what NO_PROXY
// names and for this machine, as gRPC does; Config.NoProxy switches that off. With
// certificates from files, which may be renewed while the client lives:
//
//	client.Config{Endpoints: endpoints, TLSFiles: client.TLSFiles{Cert: "c.pem", Key: "k.pem", CA: "ca.pem"}}
//
// # Goroutines
//
// New starts those of the resolver, the balancer and gRPC; a login and keepers
// of leases add some while they last. Close ends them all and waits.
package client
