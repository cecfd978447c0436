// Package watching checks watches against a history that it reads for itself.
//
// Writers put, delete and commit transactions over a small set of keys, some with
// leases that expire, and somebody compacts. A reader learns what every revision has
// changed without any watch: it reads the keys at each revision, one revision after
// the other, from whichever member answers, on connections that no fault touches. So
// the fate of a write whose answer was lost is known too.
//
// Watches of all kinds (ranges, filters, old, future and compacted revisions,
// channels, iterators, Follow, clientv3's names, slow and stuck consumers) are held
// against that history: each must see every change of its keys once, in the order of
// revisions, a revision as a whole and with the right contents, or end with a
// *watch.CompactedError that is justified, before which nothing is missing. Progress
// must not run ahead of changes. At the end every watch must get to the last revision.
//
// The same history is held against the writers: an acknowledged write is there, at
// its revision and once; one that was certainly refused is not.
package watching
