// Package namespace gives a program a part of the keys for its own: those that
// begin with a prefix, which it neither has to write nor gets to see.
//
//	jobs := namespace.NewKV(store, "jobs/")
//	_, err := jobs.Put(ctx, "nightly", "…")              // puts jobs/nightly
//	resp, err := jobs.Get(ctx, "", kv.WithPrefix())      // gets all of jobs/, without it
//
// NewConn does so for everything that is made on a connection: services, locks, elections,
// generated stubs. Of does so for a whole client (client.Config.Middleware). NewKV,
// NewWatcher and NewLease wrap single services. They add the prefix to the keys of
// requests, those in comparisons and in nested transactions included, and remove it from
// the keys of responses and events. A range without an end (kv.WithFromKey, a prefix of "",
// a range end of "\x00") ends where the namespace ends, and a range over the whole store
// covers the namespace.
//
// Revisions, leases, compaction and progress are the cluster's, which has one of
// each. The key that is the prefix itself is in no namespace, since a key is never
// empty. What means nothing, such as a Put without a key, is the *kv.UsageError
// that it would be without a namespace, and is about the keys that were given.
//
// It is a convenience, and no protection: for that, give the user a role for the
// prefix.
package namespace
