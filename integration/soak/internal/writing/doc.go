// Package writing checks package once on a real cluster: that each write is applied once, and that
// its answer is right, wherever it was lost.
//
// Workers write blindly, without comparing first: puts of unique values to keys that they share,
// whose versions count them; transactions that append, with both branches, nested ones and reads in
// between; and deletions that report how many keys there were. Their clients have a connection
// beneath once that is hostile. It loses answers, and sends copies of requests again, seconds
// later. Slots are deleted, and their leases revoked, now and then. Some writes have little time,
// and end in doubt.
//
// The work is in rounds. After each one, the whole history of the store is read by a watch and
// carried out once more on a model. Then:
//
//   - each revision belongs to one write, and has exactly the changes that this write would make
//     at that point, and one slot;
//   - each answer is what the model says: revision, branch, previous values, counts, and what reads
//     within the transaction have seen;
//   - a write that was answered, or has failed for certain, appears nowhere else;
//   - a write in doubt appears at most once;
//   - a write that had time has not failed.
package writing
