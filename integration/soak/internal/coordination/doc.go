// Package coordination uses locks, elections, queues, barriers and software
// transactions from several clients at once, and checks that their promises hold
// whatever happens to the cluster:
//
//   - locks and elections: writes under a fencing token are accepted in the order
//     of the tokens, the writes of two holders never interleave, and each writer
//     is the first in the queue at the revision of its write;
//   - a holder that has lost a lock, because its lease was revoked or has ended,
//     is notified, and its Unlock and its Proclaim do not affect its successor;
//   - a waiter that gives up leaves nothing behind: no key, no lease, no
//     goroutine;
//   - queues: an item is dequeued once if its Enqueue has succeeded, at most once
//     if the outcome is unknown, and never if it was refused;
//   - counters: no certain commit is lost, and none is counted twice;
//   - markers: what Settle says of a transaction of unknown fate is true, and stays so;
//   - barriers: nobody continues before all have entered, and nobody has left
//     before all leave.
//
// It applies no faults to the cluster; its caller does that. But it revokes
// leases of its own workers, behind their backs.
//
// # Clocks
//
// Whether a holder knows in time that it has lost its lock depends on clocks, and
// a cluster can break this: a leader that was stopped may revoke a lease that its
// successor has renewed (package lease). So two holders may believe, for a
// moment, that they hold one lock. Holds.Overlaps counts these moments. Fencing
// tokens make them harmless, and that is what is checked.
package coordination
