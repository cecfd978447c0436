// Package batch sends concurrent calls together: reads of keys in one read-only transaction,
// puts in one transaction, deletions in another. A hundred callers then cost the client and the
// members little more than one.
//
//	c, err := client.New(client.Config{
//		Endpoints:  endpoints,
//		Middleware: []client.Middleware{batch.NewConn},
//	})
//
// A program that uses package clientv3 takes one line more than before:
//
//	cli, err := clientv3.NewWith(cfg, func(n *client.Config) { n.Middleware = []client.Middleware{batch.NewConn} })
//
// # What is different
//
// Writes of one batch share a revision. Their keys have the same ModRevision, new ones the same
// CreateRevision, and a watch gets their events together. A program that tells puts of different
// keys apart by their revisions, or orders keys by the revision at which Put has created them,
// must not use this package. Locks, elections and queues, getcd's and etcd's, create their keys
// by transactions of their own, which pass through.
//
// All else of an answer is what the call would have been answered alone: previous values,
// counts, headers, errors.
//
// # What is batched
//
// A single Get, Put or Delete of the kv package, of package clientv3 or of etcd's generated stub
// may be sent in one batch with others of its kind:
//
//   - Linearizable reads of a key, or of a range with a Limit of at most 16, its usual order and
//     no filters. A linearizable read-only transaction asks the leader as a single read does
//     (etcdserver/v3_server.go, Txn), after all of its reads have begun.
//   - Serializable reads, likewise. An endpoint that is a learner answers them only one by one:
//     a client that has learners alone for endpoints must not use this package.
//   - Puts. A value of more than 16 KiB goes alone: batching would only delay it.
//   - Deletes, of a key or of a range. Those of a range that ask for the previous values go
//     alone. Deletes and puts do not share a batch, because a server that is out of space
//     refuses puts, and takes deletes.
//
// Larger reads are never put together with others. But of all reads, identical ones are sent
// once: a read that arrives while an identical read is in flight waits for the next one, which
// serves all waiting callers. So no read gets an answer that was asked for before it began.
//
// Calls share a batch only if they have the same metadata and the same call options. A call with
// an option for its own RPC (grpc.Header, grpc.Peer, its own credentials, …) goes alone, as does
// one whose context was made by client.WithIdempotentWrites or by middleware that chooses members.
// Transactions, streams and all other RPCs pass through.
//
// # When
//
// When nothing is under way, a call goes at once, unchanged: a caller who is alone does not even
// notice. The more batches are under way, the more calls must have come together before another
// one is sent: 1, 1, 4, 16, 64. They also go when a batch comes back, and a batch that is full
// never waits. A call waits for others only while batches are under way, and for 200 ms at most:
// those may be stuck on a member that has stalled. Callers block while they wait, so no more
// calls wait than there are callers.
//
// Writes of one key are applied in the order of their calls, one after the other, and so are
// those of a range and of a key in it. Many callers who put the same key therefore take turns,
// and wait longer than without batches.
//
// # When something fails
//
// A batch that the server refuses (one key without permission, a lease that does not exist, a
// revision that was compacted, too many operations, too large a request) has done nothing. Its
// calls are then sent once more, each alone, by its own caller: so nobody fails for another's
// mistake. Batches become smaller where that happens, and grow again. The limits of a server are
// learned from its refusals, and tried again after a minute. Reads whose answers are too large
// together for the connection are asked again, one by one.
//
// When the fate of a batch is unknown, so is that of each of its writes: each caller gets that
// error, of its own operation. Like all errors it is that of the connection below.
//
// A caller's context is its own. When it ends while the call is waiting, the call was not sent.
// When the call is under way, its caller returns, and client.IsAmbiguous tells that a write may
// be applied; the others are not affected. The request of a batch ends with the last of its
// callers, and carries no values of their contexts, since it can't have those of all: middleware
// and interceptors that read values, such as a tracer's, see single calls in front of this
// package, and batches without them behind it.
//
// # Servers
//
// etcd before 3.4.23 and 3.5.7 may panic when the client cancels a read-only transaction while
// the server executes it (etcd issues 14110 and 14891), and a single read does not have this
// effect. Use a later version.
// Some versions of etcd 3.4 to 3.6 do not check, in a transaction, whether a user may write the
// other keys of the lease that it attaches to a key. There a put in a batch is permitted that
// would be refused alone.
//
// With package once beneath it, a batch is one write that happens once:
//
//	Middleware: []client.Middleware{batch.NewConn, once.Of("once/")}
package batch
