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
//     lost.
//   - The lease belongs to the session. If the cluster cannot be reached for 3 s,
//     a key cannot be deleted at once. It is then deleted in the background, or
//     when the session ends. A lock.Mutex has its own lease, which expires by
//     itself.
//   - The errors of NewSTM do not say whether the commit may have been applied;
//     those of stm.Run do (client.IsAmbiguous).
package concurrency
