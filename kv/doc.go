// Package kv is a client of etcd's KV service (etcdserverpb.KV): Put, Range,
// DeleteRange, Txn and Compact.
//
//	store := kv.New(conn)
//	_, err := store.Put(ctx, "greeting", "hello")
//	resp, err := store.Get(ctx, "greeting")
//	for _, kv := range resp.Kvs { ... }
//
// Each call is one request and one response, on any grpc.ClientConnInterface: a
// failover connection, a plain grpc.ClientConn, or a fake in a test. The package
// adds no retries and no metadata, and returns the connection's errors unchanged.
// The connection decides what happens when a member fails.
//
// # Keys and ranges
//
// Keys and values are bytes, passed as Go strings. Keys are ordered by their
// bytes. A call applies to one key unless an option makes it a range:
//
//	WithRange(end)   [key, end)
//	WithPrefix()     every key that begins with key; with an empty key, all keys
//	WithFromKey()    every key from key on
//
// # Revisions
//
// The whole store has one revision. Every transaction that changes something
// raises it by one, and every response's header contains it. A key has a creation
// revision, the revision of its last change, and a version that counts its
// changes since creation. With WithRev, Get reads the store as it was at an older
// revision, until Compact removes that history.
//
// # Transactions
//
// Txn evaluates comparisons and then applies one of two lists of operations, all
// atomically. Use it for every change that depends on what was read before:
//
//	resp, err := store.Txn(ctx).
//		If(kv.Compare(kv.ModRevision("k"), "=", rev)).
//		Then(kv.OpPut("k", "new")).
//		Else(kv.OpGet("k")).
//		Commit()
//
// The response has one answer for each operation of the branch that was taken. Get, Put,
// Delete and Txn return them by their number: resp.Get(0).
//
// When the answer to a transaction is lost, nobody knows whether it was applied. A
// [Marker] makes transactions of which that can be found out.
//
// # Large ranges
//
// A Get has its whole answer in memory, and so does the server. A [Streamer] reads a range
// of any size in parts, all at one revision, and goes on where it was when a member fails.
// Its Scan gives one key after another.
//
// # Misuse
//
// The call returns a *UsageError for an option that does not apply to its
// operation, for options that contradict each other, for an invalid comparison,
// and for a transaction whose steps come in the wrong order. Nothing panics,
// nothing is ignored, and nothing is sent. Since Ops and Cmps are built before
// the call, they carry their error until then; see Op.Err and Cmp.Err.
package kv
