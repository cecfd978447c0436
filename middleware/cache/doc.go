// Package cache keeps keys under prefixes in memory, and answers reads and watches of them from
// there. Nothing that is built on the connection has to know of it: the kv and watch packages, the
// typed view, generated stubs, package clientv3.
//
//	c, err := client.New(client.Config{
//		Endpoints:  endpoints,
//		Middleware: []client.Middleware{cache.Of([]string{"config/"})},
//	})
//	resp, err := c.Get(ctx, "config/", kv.WithPrefix()) // linearizable, and from memory
//
// # What is answered from memory
//
//   - Get of a key or a range with one of the prefixes, with all options: limits, orders, counts,
//     keys only, filters by revisions, old revisions. A Get of keys only that includes a key with a
//     lease is passed on, since servers differ in whether its answer names the lease.
//   - Transactions of reads and comparisons alone, of such keys, also of several prefixes.
//   - Watches of such keys or ranges, with all options.
//
// Old revisions, and the revision at which a watch starts, have to be within the window: the last
// DefaultEvents changes of the prefix, or DefaultBytes of them (WithWindow). All else is passed on
// unchanged: writes, other keys, revisions before the window, reads while the cache is not filled,
// transactions within transactions, RangeStream, and calls that want an RPC of their own (by a
// grpc.CallOption such as grpc.Header, or by metadata).
//
// # Why it is right
//
// A prefix's keys are read at one revision, and then changed as a watch says that begins with the
// next one: exactly once and in order, a revision as a whole (Follow of package watch). So at any
// time the cache is the prefix as it was at one revision, c, which a reader takes as a whole: the
// keys are in a tree that is never changed, but replaced.
//
// A serializable read is answered at once, with that state. It is what a member that is behind
// would answer. After a write of its own, a program may read what was before.
//
// A linearizable read has to see everything that was written before it began. So the cluster is
// asked for its revision r, by a linearizable read that is sent after the call has begun. Everything
// that was written before then has a revision of at most r. When c has reached r, the state is
// taken, and has all of it.
//
// One question serves all who wait: a reader who comes while one is under way may not take its
// answer, which may be older than the reader's call, and waits with all others for the next one.
// So any number of readers costs one round trip at a time for each prefix. A reader waits for two
// at most.
//
// The question is a transaction with a comparison that is never true, and with a read of the whole
// prefix in the branch that is therefore not taken. It costs the server next to nothing. But the
// server checks the permissions for both branches, so the answer says that the user may still read
// all that the cache has.
//
// # When no event comes
//
// The revision counts all writes of the cluster. When keys elsewhere have changed, r is above c,
// and no event of the prefix will come. There are three ways to learn that the cache is up to date
// all the same:
//
//  1. To ask the server, on the watch's stream, how far the watch has come: RequestProgress of
//     package watch. This is a small message each way, whatever the size of the prefix. But etcd
//     before 3.4.25 and 3.5.8 gives no answer that can be believed, and etcd's gRPC proxy none at
//     all.
//  2. To read the highest mod revision under the prefix. This works everywhere. But the server
//     walks over all of the prefix for it, with the index locked: with a million keys, longer
//     than many single reads take together. And deletions do not show in it.
//  3. To pass the read on.
//
// The cache takes the first way. If there is no answer within 25 ms, it takes the second one for
// prefixes of up to 10,000 keys: it asks for a key that is newer than c, and for the number of
// keys, one read at a time. If there is no newer key, then each key at the answer's revision was there at c, as it is
// now. If in addition the number is the same, then none is missing, and the state at c is also that
// of the answer's revision. (This is no progress of the cache: a key that has come and gone
// meanwhile is still to come as two events.) In all other cases it takes the third way. When no
// answer came three times, the first way is tried once in a second only.
//
// So a linearizable read is never answered with what is too old, and never waits for the cache for
// longer than about a second when the cluster could answer: without an answer to the question in
// 500 ms, or with an error, the read is passed on, and its caller gets the cluster's own answer or
// error.
//
// # Headers
//
// A header's revision is that of the state that was read. Its cluster, member and raft term are
// those of the last answer that the cache itself got, of whatever member.
//
// # Compaction, restore, other clusters
//
// When the watch's next revision was compacted, the keys are read anew. Until that is done, the old
// state stays, and linearizable reads are passed on. Afterwards the window begins with the new
// revision. Readers notice a higher revision and no more. Watches from memory whose next revision
// was lost go to the cluster, which ends those that it can't serve, as ever.
//
// Within the window, old revisions can be read and watched even if the cluster was asked to compact
// them meanwhile. A server would answer ErrCompacted.
//
// When the cluster was restored from a backup, or is another one, a linearizable read's answer is
// below what was known, or has another cluster's ID, and the watch finds out as well (package
// watch, ErrRevisionRegressed and ErrClusterChanged). Then nothing that is known is used any more,
// the keys are read anew, and streams with watches from memory end with codes.Unavailable, as when a
// connection is lost: who reopens them gets a look at what the cluster has become. A restored
// cluster that has passed the revision already can't be told from the one before.
//
// # Permissions
//
// etcd checks the permission of a watch when it is created, and never again. So the watch of a user
// who has lost the permission goes on, and says nothing of it. Each confirmation checks it: for
// linearizable reads that is each read. For the others there is a confirmation each second while
// they are answered from memory, and one in 5 s when nobody reads. When the user may not read all
// of the prefix any more, what is in memory is dropped at once, and reads and watches are passed on:
// the cluster judges them, one by one. The cache tries to fill itself again, after 100 ms to 5 s.
//
// Thus a user who was deprived of a permission may read what the cache has for up to a second more,
// or for 5 s after a pause; and, as from a member that is cut off from the others, for as long as the
// cluster can't be asked.
//
// # Memory
//
// A key takes its own size, its value's, up to 45 bytes for its revisions and its lease, and about
// 30 bytes for its place in the tree: 1,000,000 keys of 20 bytes with values of 80 bytes take 149
// bytes each. The window comes on top, within its bounds. While a prefix is read anew, keys that
// have not changed are kept once.
//
// # Watches
//
// A watch from memory costs the cluster nothing: the cache's own watch, one for each prefix,
// serves all. It has no goroutine and no buffer either. A slow receiver's events wait in the
// window, and when they leave that, the watch goes on at the cluster. On a stream of watches some
// may be served from memory and others by the cluster. The answer to a progress request is for all
// of them. A watch that was passed on, because the cache was not filled, say, stays at the cluster: a
// program that makes its watches when it starts should call WaitReady first.
//
// # Decoded values
//
// A view (package view) decodes values once, calls back, and finds keys by indexes of the user's. On
// a client with this cache it costs the cluster nothing: what it follows comes from memory.
package cache
