// Package concurrency mirrors go.etcd.io/etcd/client/v3/concurrency: sessions,
// elections, a mutex and software transactional memory. They are built on
// packages session, election and stm, which document them, and use the services
// that the client has, such as those of clientv3/namespace.
//
// A session ends as soon as its lease can no longer be proven to live. A mutex or
// a leadership that was lost cannot free another session's: Unlock and Resign
// delete only the session's own key.
//
// # What is weaker here than in the packages below
//
// The signatures of clientv3 have no room for some of the promises of those
// packages:
//
//   - Mutex and Election report the loss of the lease only by Session.Done. If
//     somebody deletes their key, they learn it only from the response to the
//     next Proclaim, or from a transaction with IsOwner. lock.Mutex and
//     election.Election report that, too.
//   - Unlock and Resign return nil even if the lock or the leadership was already
//     lost. After an error, Unlock can be called again until the key is gone. Resign
//     cannot: it has given up the leadership, and the next call returns nil.
//   - The lease belongs to the session. If the cluster cannot be reached for 3 s,
//     a key cannot be deleted at once. It is then deleted in the background, or
//     when the session ends. A lock.Mutex has its own lease, which expires by
//     itself.
//   - The errors of NewSTM do not say whether the commit may have been applied;
//     those of stm.Run do (client.IsAmbiguous).
//
// # Lease services of other makers
//
// A program may set the client's Lease to a service of its own, or to a wrapper. A
// session then has the service's KeepAlive keep its lease, and knows of it only what
// comes through the channel. It ends when the channel closes, or when no answer has
// come for a time to live, less lease.Margin. A time to live counts from the receipt
// of the answer, or from the call of Grant. The server counts from when it handled the
// renewal, which was earlier. So if an answer took longer than the margin, for example
// because the process was stopped meanwhile, such a session may end after its lease,
// as clientv3's sessions may. Until the first answer, a lease that WithLease names is
// taken to live for WithTTL's time from the call of NewSession. A session on getcd's own service, or on one of
// clientv3/namespace over it, counts from when the renewal was sent, and ends in time.
package concurrency
