// Package kv speaks etcd's KV service (etcdserverpb.KV): Put, Range, DeleteRange,
// Txn and Compact.
//
//	store := kv.New(conn)
//	_, err := store.Put(ctx, "greeting", "hello")
//	resp, err := store.Get(ctx, "greeting")
//	for _, kv := range resp.Kvs { ... }
//
// Each call is one request and one answer, on any grpc.ClientConnInterface: a
// failover connection, a plain grpc.ClientConn, or a fake in a test. The package
// adds no retries and no metadata, and returns the connection's errors as they
// are; what happens when a member dies is the connection's business.
//
// # Keys and ranges
//
// Keys and values are bytes, written as Go strings, and keys are ordered by
// their bytes. A call is about one key unless an option makes it a range:
//
//	WithRange(end)   [key, end)
//	WithPrefix()     every key that begins with key; with an empty key, all keys
//	WithFromKey()    every key from key on
//
// # Revisions
//
// The whole store has one revision, which every transaction that changes
// something raises by one, and which is in every response's header. A key
// carries the revision of its creation, that of its last change, and a version
// that counts its changes since creation. Get reads an older state with WithRev,
// until Compact has removed it.
//
// # Transactions
//
// Txn compares, and then applies one of two lists of operations, atomically.
// It is how anything is done that depends on what was read before:
//
//	resp, err := store.Txn(ctx).
//		If(kv.Compare(kv.ModRevision("k"), "=", rev)).
//		Then(kv.OpPut("k", "new")).
//		Else(kv.OpGet("k")).
//		Commit()
//
// # Misuse
//
// An option that does not apply to its operation, or contradicts another one, a
// comparison that cannot be made, a transaction assembled in the wrong order:
// all of these are a *UsageError from the call. Nothing panics, nothing is
// ignored, and nothing was sent. Since Ops and Cmps are built ahead of the call,
// they carry their error until then; see Op.Err and Cmp.Err.
package kv
