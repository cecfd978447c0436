// Package client connects to an etcd cluster and stays connected.
//
//	c, err := client.New(client.Config{Endpoints: []string{"dns+srv:///example.com"}})
//	...
//	defer c.Close()
//	resp, err := c.Get(ctx, "greeting")
//
// A Client embeds etcd's services: those of packages kv, lease, watch, auth, cluster and
// maintenance. Packages that build on them take its connection, and so do etcd's generated
// stubs:
//
//	m, err := lock.New(c.Conn(), "jobs/nightly")
//	alarms, err := pb.NewMaintenanceClient(c.Conn()).Alarm(ctx, &pb.AlarmRequest{})
//
// A Middleware, such as a namespace, lies between the services and the connection. All
// services of a client use it:
//
//	client.Config{Endpoints: endpoints, Middleware: []client.Middleware{namespace.Of("jobs/")}}
//
// # What a call does
//
// Each call belongs to one of three classes. A read may always be sent again. So may a
// repeatable request: a copy of it changes nothing, however late it arrives and whatever
// others have done in the meantime. A write may be sent again only if it is certain that no
// member has proposed it:
//
//	read        Range, read-only Txn, TimeToLive, Leases, Status, MemberList,
//	            Authenticate, …
//	repeatable  LeaseGrant and LeaseRevoke with an ID that package lease drew at
//	            random and that is used once, Compact, Resign with a lease
//	write       all others, including Unlock and leases with the caller's own IDs
//
// A call that may be sent again is sent again until it is answered or its context ends: the
// first time at once and to the standby, then with growing pauses. So a call without a
// deadline waits for as long as the cluster is unavailable. If a copy of a repeatable
// request is refused because an earlier one was applied, the call succeeds. The answer's
// header is then empty: nobody knows the revision. A read that takes several times
// as long as usual is sent to a second member too, and the first answer wins. This is done
// for at most one read in a hundred; up to 500 can be saved up. Reads whose member was given
// up do not count.
//
// A request that is refused with "too many requests" is sent again after 0.1 s, then after
// pauses that grow to 5 s. For all calls of a client together there is a budget for this: 100
// requests, one more for each 10 that succeed, and 10 more a second.
//
// While no member is known to have a leader and a quorum, requests that would change
// something wait, unsent. So they are certain not to have been applied.
//
// When a member falls silent, or can't serve while another one can, new requests, streams
// that can be opened again, and calls that may be sent again leave it at once. A write that
// is in flight there keeps its connection until it is answered, its context ends, it is
// known to be lost, or its time is over (Config.WritePatience) while another member serves.
// Bytes that move on the connection are a sign of life.
//
// # What an error means
//
// A failed call returns an *Error, which wraps etcd's own error (package rpctypes), if there
// is one, or the context's. If IsAmbiguous returns true, the write may have been applied, or
// may be applied later. Reading the key does not settle this. Use middleware/once or
// kv.Marker, or make the retry conditional on the revision that you read. Any other error of
// a write means that nothing was applied. Some of etcd's own answers are ambiguous too. The write that exceeds the
// database's quota is applied and answered with rpctypes.ErrNoSpace. Lock and Campaign can
// return the error of a late step, such as an invalid token, while the waiter's key exists.
// MemberPromote can say, after the promotion, that the member is not a learner or that there
// is no leader.
//
// etcd refuses a request of a user with a certificate if users or roles change while it is
// in flight. Such a request is sent again, up to 32 times.
//
// When a call ends without an answer, its error names every endpoint; those that were tried
// come first. When a proxy answers, its error has the HTTP status. With 3xx, 4xx, 501 and
// 505 a proxy refuses to pass the request on, so a write was not applied; with the others
// the error is ambiguous.
//
// # How members are reached
//
// Like gRPC, the client uses the proxy in the environment's HTTPS_PROXY, except for the hosts
// in NO_PROXY and for this machine; Config.NoProxy switches that off. Certificates may come
// from files, which may be renewed while the client lives:
//
//	client.Config{Endpoints: endpoints, TLSFiles: client.TLSFiles{Cert: "c.pem", Key: "k.pem", CA: "ca.pem"}}
//
// A password that changes is asked for at each login, and a JWT whenever the last one is no
// longer taken (Config.Credentials, Config.TokenSource):
//
//	client.Config{Endpoints: endpoints, Credentials: func(ctx context.Context) (user, password string, err error) { … }}
//
// Package github.com/getcd/getcd/config, a module of its own, makes a Config of a YAML file
// and of the environment.
//
// # Goroutines
//
// New starts those of the resolver, the balancer and gRPC; a login and keepers
// of leases add some while they last. Close ends them all and waits.
package client
