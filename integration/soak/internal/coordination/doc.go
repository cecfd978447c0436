// Package coordination works with locks, elections, queues, barriers and software
// transactions, from several clients at once, and checks what must hold of them
// whatever happens to the cluster meanwhile:
//
//   - locks and elections: what is written under a fencing token is accepted in the
//     order of the tokens, no two holders' writes interleave, and each writer is the
//     first in the queue at the revision of its write;
//   - who has lost a lock, because its lease was revoked or has ended, is told, and
//     its Unlock and its Proclaim change nothing of its successor's;
//   - who gives up waiting leaves nothing behind: no key, no lease, no goroutine;
//   - queues: an item whose Enqueue has succeeded is dequeued once, one in doubt at
//     most once, and one that was refused never;
//   - counters: no definite commit is lost, and none is counted twice;
//   - barriers: all have entered before any may go on, and all leave before any has
//     left.
//
// It does no faults to the cluster: whoever calls it does. But it revokes leases of
// its own workers, behind their backs.
//
// # Clocks
//
// That a holder knows in time that it has lost its lock is a matter of clocks, and a
// cluster can break it: a leader that was stopped may revoke a lease which its
// successor has renewed (package lease). So two may believe, for a moment, that they
// hold one lock. Figures tell how often (Holds.Overlaps); a fencing token is what makes
// it harmless, and that is what is checked.
package coordination
