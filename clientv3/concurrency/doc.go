// Package concurrency has the names of go.etcd.io/etcd/client/v3/concurrency:
// sessions, elections, a mutex and transactional memory. They are those of packages
// session, election and stm, which say what they do, on the services that the client
// has, such as those of clientv3/namespace.
//
// A session here knows in time that its lease can no longer be proven to live, and a
// mutex or a leadership that was lost frees nothing of another's: Unlock and Resign
// take away one's own key alone.
//
// # What is weaker here than in the packages below
//
// Clientv3's shapes have no room for some of what those promise:
//
//   - Mutex and Election tell of a loss by Session.Done alone, when the lease is lost.
//     That somebody has deleted their key they learn from the answer to the next
//     Proclaim, or from a transaction with IsOwner; lock.Mutex and election.Election
//     tell of that too.
//   - Unlock and Resign of what was lost return nil.
//   - The lease is the session's, so a key that cannot be deleted at once, because the
//     cluster cannot be reached for 3 s, stays until it can, or the session ends. It is
//     deleted in the background then. A lock.Mutex has a lease of its own, which ends
//     by itself.
//   - NewSTM's errors do not tell whether the commit may have been applied; stm.Run's
//     do (client.IsAmbiguous).
package concurrency
