// Package election elects leaders on an etcd cluster. It has two ways. [New] makes the
// first, which is the one to use:
//
//   - [Election] needs only the key-value, lease and watch services. It knows
//     when it no longer leads, has a fencing token and guarded transactions,
//     and leaves no candidate behind.
//   - [Service] is etcd's election service (v3electionpb.Election): five RPCs,
//     request out, response in.
//
// To lead:
//
//	e, err := election.New(conn, "scheduler")
//	err = e.Run(ctx, "host-1", func(ctx context.Context) error { // waits for its turn
//		return lead(ctx) // ctx ends with the leadership
//	})
//
// or, step by step:
//
//	if err := e.Campaign(ctx, "host-1"); err != nil {
//		return err
//	}
//	defer e.Resign(ctx)
//	select {
//	case <-work():
//	case <-e.Done(): // stop: somebody else may lead from now on
//	}
//
// and to know who leads:
//
//	for leader, err := range e.Leaders(ctx) { ... }
//
// # What an election can promise
//
// A leader in a distributed system has a lease: who does not renew it leads no
// more, and the next one does. What a leader can have is to know in time. Done
// closes when leadership can no longer be proven, and before the cluster can
// give it to another one. Work that is under way then must stop.
//
// A leader that is frozen (a paused virtual machine, a suspended laptop) cannot
// keep to that: its clocks stop as well. What is right even then is to let the
// resource decide. Election.Rev grows with every leader, so that a store can
// refuse an order that is older than the newest it has seen; and when the store
// is the same etcd cluster, Election.Txn makes each write conditional on the
// leadership.
//
// # The keys
//
// A candidate of the election NAME owns the key NAME/LEASE, its lease's ID in
// hexadecimal, whose value is what it proclaims, and the owner of the key with
// the lowest create revision under NAME/ leads. That is what etcd's election
// service, etcdctl elect and clientv3's concurrency package do, so all of them
// take part in the same elections.
//
// # Leases
//
// By default each campaign has its own lease, which ends with the campaign. With
// WithSession, candidates use an existing lease that the caller keeps alive, as
// clientv3's do: the candidate goes when the session does, and candidates of one
// session in one election are the same one.
//
// A candidate that gives up while the outcome of its request is unknown must not
// come back by itself later, when some member gets round to that request. A lease
// of its own sees to that by being revoked. A session's lease cannot be. A session of
// package session looks after its keys: a candidate that comes back is deleted as soon
// as the cluster tells of it, for as long as the session lasts, and everybody sees one
// put. With other sessions the candidate is put with a lease of its own at first, and
// handed to the session's when it is certain to exist, by a request that cannot create
// it, which is a second put.
package election
