// Package watching checks watches against a history that it reads for itself.
//
// Writers put, delete and commit transactions on a small set of keys, some of
// them with leases that expire, while the history is compacted. A reader learns
// the changes of every revision without a watch: it reads the keys at one
// revision after another, from any member that answers, on connections that
// faults do not affect. So it also knows the outcome of a write whose response
// was lost.
//
// Watches of all kinds (ranges, filters, old, future and compacted revisions,
// channels, iterators, Follow, clientv3's names, slow and stuck consumers) are
// compared with that history. Each watch must see every change of its keys once,
// in the order of revisions, each revision completely and with the right
// contents. It may only end with a justified *watch.CompactedError, and nothing
// before that may be missing. Progress notifications must not be ahead of
// changes. At the end every watch must reach the last revision.
//
// The writers' results are compared with the same history, too: an acknowledged
// write is in it exactly once, at its revision, and a write that was certainly
// refused is not.
package watching
